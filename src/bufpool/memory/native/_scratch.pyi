from types import TracebackType
from typing import Any, Generic, Literal, NoReturn, final, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray
from typing_extensions import TypeVar

from bufpool._typing import (
    C8,
    C16,
    F2,
    F4,
    F8,
    I1,
    I2,
    I4,
    I8,
    U1,
    U2,
    U4,
    U8,
    Align,
    Bool,
    Order,
    S,
    Shape,
    Typed,
)
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
        self, shape: Shape, dtype: None = ..., order: Order = "C", *, alignment: Align = None
    ) -> Scratch[np.float64]: ...
    @overload
    def scratch(
        self, shape: Shape, dtype: Typed[S], order: Order = "C", *, alignment: Align = None
    ) -> Scratch[S]: ...
    @overload
    def scratch(
        self, shape: Shape, dtype: Bool, order: Order = "C", *, alignment: Align = None
    ) -> Scratch[np.bool_]: ...
    @overload
    def scratch(
        self, shape: Shape, dtype: I1, order: Order = "C", *, alignment: Align = None
    ) -> Scratch[np.int8]: ...
    @overload
    def scratch(
        self, shape: Shape, dtype: I2, order: Order = "C", *, alignment: Align = None
    ) -> Scratch[np.int16]: ...
    @overload
    def scratch(
        self, shape: Shape, dtype: I4, order: Order = "C", *, alignment: Align = None
    ) -> Scratch[np.int32]: ...
    @overload
    def scratch(
        self, shape: Shape, dtype: I8, order: Order = "C", *, alignment: Align = None
    ) -> Scratch[np.int64]: ...
    @overload
    def scratch(
        self, shape: Shape, dtype: U1, order: Order = "C", *, alignment: Align = None
    ) -> Scratch[np.uint8]: ...
    @overload
    def scratch(
        self, shape: Shape, dtype: U2, order: Order = "C", *, alignment: Align = None
    ) -> Scratch[np.uint16]: ...
    @overload
    def scratch(
        self, shape: Shape, dtype: U4, order: Order = "C", *, alignment: Align = None
    ) -> Scratch[np.uint32]: ...
    @overload
    def scratch(
        self, shape: Shape, dtype: U8, order: Order = "C", *, alignment: Align = None
    ) -> Scratch[np.uint64]: ...
    @overload
    def scratch(
        self, shape: Shape, dtype: F2, order: Order = "C", *, alignment: Align = None
    ) -> Scratch[np.float16]: ...
    @overload
    def scratch(
        self, shape: Shape, dtype: F4, order: Order = "C", *, alignment: Align = None
    ) -> Scratch[np.float32]: ...
    @overload
    def scratch(
        self, shape: Shape, dtype: F8, order: Order = "C", *, alignment: Align = None
    ) -> Scratch[np.float64]: ...
    @overload
    def scratch(
        self, shape: Shape, dtype: C8, order: Order = "C", *, alignment: Align = None
    ) -> Scratch[np.complex64]: ...
    @overload
    def scratch(
        self, shape: Shape, dtype: C16, order: Order = "C", *, alignment: Align = None
    ) -> Scratch[np.complex128]: ...
    @overload
    def scratch(
        self, shape: Shape, dtype: DTypeLike, order: Order = "C", *, alignment: Align = None
    ) -> Scratch[Any]: ...
