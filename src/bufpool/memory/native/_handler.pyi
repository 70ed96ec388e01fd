from types import TracebackType
from typing import Literal, Self

from typing_extensions import disjoint_base

from bufpool.memory.native._arena import PoolBase

@disjoint_base
class AllocatorPool(PoolBase):
    _tune_malloc: bool
    @property
    def installed(self) -> bool: ...
    def install(self) -> None: ...
    def uninstall(self) -> bool: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Literal[False]: ...
