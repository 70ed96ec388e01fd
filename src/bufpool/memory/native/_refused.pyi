from contextvars import ContextVar
from typing import Any

installed: ContextVar[tuple[tuple[Any, Any, int], ...]]
