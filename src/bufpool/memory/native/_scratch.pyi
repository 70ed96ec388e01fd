from types import TracebackType
from typing import Any, Generic, Literal, NoReturn, final, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray
from typing_extensions import TypeVar

from bufpool._typing import Align, Order, S, Shape, Typed
from bufpool.memory.native._arrays import ArrayPool

_S = TypeVar("_S", bound=np.generic, default=Any)

@final
class Scratch(Generic[_S]):
    @property
    def pool(self) -> ArrayPool: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[_S]: ...
    def __init__(self, *args: object, **kwargs: object) -> NoReturn: ...
    def acquire(self) -> NDArray[_S]: ...
    def release(self, array: NDArray[_S]) -> None: ...
    def __enter__(self) -> NDArray[_S]: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Literal[False]: ...

class ScratchMaker(ArrayPool):
    @overload
    def scratch(
        self, shape: Shape, dtype: None = None, order: Order = "C", *, alignment: Align = None
    ) -> Scratch[np.float64]: ...
    @overload
    def scratch(
        self, shape: Shape, dtype: Typed[S], order: Order = "C", *, alignment: Align = None
    ) -> Scratch[S]: ...
    @overload
    def scratch(
        self, shape: Shape, dtype: DTypeLike, order: Order = "C", *, alignment: Align = None
    ) -> Scratch[Any]: ...
