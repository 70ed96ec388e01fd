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

_S_co = TypeVar("_S_co", bound=np.generic, default=Any, covariant=True)

@final
class Lease(Generic[_S_co]):
    @property
    def pool(self) -> ArrayPool: ...
    def __init__(self, *args: object, **kwargs: object) -> NoReturn: ...
    def __enter__(self) -> NDArray[_S_co]: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Literal[False]: ...

class LeaseMaker(ArrayPool):
    @overload
    def lease(
        self, shape: Shape, dtype: None = ..., order: Order = "C", *, alignment: Align = None
    ) -> Lease[np.float64]: ...
    @overload
    def lease(
        self, shape: Shape, dtype: Typed[S], order: Order = "C", *, alignment: Align = None
    ) -> Lease[S]: ...
    @overload
    def lease(
        self, shape: Shape, dtype: Bool, order: Order = "C", *, alignment: Align = None
    ) -> Lease[np.bool_]: ...
    @overload
    def lease(
        self, shape: Shape, dtype: I1, order: Order = "C", *, alignment: Align = None
    ) -> Lease[np.int8]: ...
    @overload
    def lease(
        self, shape: Shape, dtype: I2, order: Order = "C", *, alignment: Align = None
    ) -> Lease[np.int16]: ...
    @overload
    def lease(
        self, shape: Shape, dtype: I4, order: Order = "C", *, alignment: Align = None
    ) -> Lease[np.int32]: ...
    @overload
    def lease(
        self, shape: Shape, dtype: I8, order: Order = "C", *, alignment: Align = None
    ) -> Lease[np.int64]: ...
    @overload
    def lease(
        self, shape: Shape, dtype: U1, order: Order = "C", *, alignment: Align = None
    ) -> Lease[np.uint8]: ...
    @overload
    def lease(
        self, shape: Shape, dtype: U2, order: Order = "C", *, alignment: Align = None
    ) -> Lease[np.uint16]: ...
    @overload
    def lease(
        self, shape: Shape, dtype: U4, order: Order = "C", *, alignment: Align = None
    ) -> Lease[np.uint32]: ...
    @overload
    def lease(
        self, shape: Shape, dtype: U8, order: Order = "C", *, alignment: Align = None
    ) -> Lease[np.uint64]: ...
    @overload
    def lease(
        self, shape: Shape, dtype: F2, order: Order = "C", *, alignment: Align = None
    ) -> Lease[np.float16]: ...
    @overload
    def lease(
        self, shape: Shape, dtype: F4, order: Order = "C", *, alignment: Align = None
    ) -> Lease[np.float32]: ...
    @overload
    def lease(
        self, shape: Shape, dtype: F8, order: Order = "C", *, alignment: Align = None
    ) -> Lease[np.float64]: ...
    @overload
    def lease(
        self, shape: Shape, dtype: C8, order: Order = "C", *, alignment: Align = None
    ) -> Lease[np.complex64]: ...
    @overload
    def lease(
        self, shape: Shape, dtype: C16, order: Order = "C", *, alignment: Align = None
    ) -> Lease[np.complex128]: ...
    @overload
    def lease(
        self, shape: Shape, dtype: DTypeLike, order: Order = "C", *, alignment: Align = None
    ) -> Lease[Any]: ...
