from types import TracebackType
from typing import Any, Literal, final

from numpy.typing import NDArray

@final
class ScratchSlots:
    def enter(self) -> NDArray[Any]: ...
    def leave(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Literal[False]: ...
