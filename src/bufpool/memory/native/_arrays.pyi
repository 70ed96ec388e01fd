from typing import Any, Literal, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

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
    OrderLike,
    S,
    Shape,
    ShapeOrNone,
    Typed,
)
from bufpool.memory.native._handler import AllocatorPool

_A = TypeVar("_A", bound=NDArray[Any])

class ArrayPool(AllocatorPool):
    @overload
    def empty(
        self, shape: Shape, dtype: None = ..., order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.float64]: ...
    @overload
    def empty(
        self, shape: Shape, dtype: Typed[S], order: Order = "C", *, alignment: Align = None
    ) -> NDArray[S]: ...
    @overload
    def empty(
        self, shape: Shape, dtype: Bool, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.bool_]: ...
    @overload
    def empty(
        self, shape: Shape, dtype: I1, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.int8]: ...
    @overload
    def empty(
        self, shape: Shape, dtype: I2, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.int16]: ...
    @overload
    def empty(
        self, shape: Shape, dtype: I4, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.int32]: ...
    @overload
    def empty(
        self, shape: Shape, dtype: I8, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.int64]: ...
    @overload
    def empty(
        self, shape: Shape, dtype: U1, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.uint8]: ...
    @overload
    def empty(
        self, shape: Shape, dtype: U2, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.uint16]: ...
    @overload
    def empty(
        self, shape: Shape, dtype: U4, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.uint32]: ...
    @overload
    def empty(
        self, shape: Shape, dtype: U8, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.uint64]: ...
    @overload
    def empty(
        self, shape: Shape, dtype: F2, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.float16]: ...
    @overload
    def empty(
        self, shape: Shape, dtype: F4, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.float32]: ...
    @overload
    def empty(
        self, shape: Shape, dtype: F8, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.float64]: ...
    @overload
    def empty(
        self, shape: Shape, dtype: C8, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.complex64]: ...
    @overload
    def empty(
        self, shape: Shape, dtype: C16, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.complex128]: ...
    @overload
    def empty(
        self, shape: Shape, dtype: DTypeLike, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[Any]: ...
    zeros = empty
    ones = empty
    @overload
    def full(
        self, shape: Shape, fill_value: S, dtype: None = None, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[S]: ...
    @overload
    def full(
        self, shape: Shape, fill_value: Any, dtype: Typed[S], order: Order = "C", *, alignment: Align = None
    ) -> NDArray[S]: ...
    @overload
    def full(
        self, shape: Shape, fill_value: Any, dtype: Bool, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.bool_]: ...
    @overload
    def full(
        self, shape: Shape, fill_value: Any, dtype: I1, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.int8]: ...
    @overload
    def full(
        self, shape: Shape, fill_value: Any, dtype: I2, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.int16]: ...
    @overload
    def full(
        self, shape: Shape, fill_value: Any, dtype: I4, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.int32]: ...
    @overload
    def full(
        self, shape: Shape, fill_value: Any, dtype: I8, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.int64]: ...
    @overload
    def full(
        self, shape: Shape, fill_value: Any, dtype: U1, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.uint8]: ...
    @overload
    def full(
        self, shape: Shape, fill_value: Any, dtype: U2, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.uint16]: ...
    @overload
    def full(
        self, shape: Shape, fill_value: Any, dtype: U4, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.uint32]: ...
    @overload
    def full(
        self, shape: Shape, fill_value: Any, dtype: U8, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.uint64]: ...
    @overload
    def full(
        self, shape: Shape, fill_value: Any, dtype: F2, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.float16]: ...
    @overload
    def full(
        self, shape: Shape, fill_value: Any, dtype: F4, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.float32]: ...
    @overload
    def full(
        self, shape: Shape, fill_value: Any, dtype: F8, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.float64]: ...
    @overload
    def full(
        self, shape: Shape, fill_value: Any, dtype: C8, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.complex64]: ...
    @overload
    def full(
        self, shape: Shape, fill_value: Any, dtype: C16, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.complex128]: ...
    @overload
    def full(
        self,
        shape: Shape,
        fill_value: Any,
        dtype: DTypeLike | None = None,
        order: Order = "C",
        *,
        alignment: Align = None,
    ) -> NDArray[Any]: ...
    @overload
    def empty_like(
        self,
        prototype: _A,
        dtype: None = None,
        order: OrderLike = "K",
        subok: Literal[True] = True,
        shape: None = None,
    ) -> _A: ...
    @overload
    def empty_like(
        self,
        prototype: NDArray[S],
        dtype: None = None,
        order: OrderLike = "K",
        subok: bool = True,
        shape: ShapeOrNone = None,
    ) -> NDArray[S]: ...
    @overload
    def empty_like(
        self,
        prototype: ArrayLike,
        dtype: Typed[S],
        order: OrderLike = "K",
        subok: bool = True,
        shape: ShapeOrNone = None,
    ) -> NDArray[S]: ...
    @overload
    def empty_like(
        self,
        prototype: ArrayLike,
        dtype: DTypeLike | None = None,
        order: OrderLike = "K",
        subok: bool = True,
        shape: ShapeOrNone = None,
    ) -> NDArray[Any]: ...
    @overload
    def zeros_like(
        self,
        a: _A,
        dtype: None = None,
        order: OrderLike = "K",
        subok: Literal[True] = True,
        shape: None = None,
    ) -> _A: ...
    @overload
    def zeros_like(
        self,
        a: NDArray[S],
        dtype: None = None,
        order: OrderLike = "K",
        subok: bool = True,
        shape: ShapeOrNone = None,
    ) -> NDArray[S]: ...
    @overload
    def zeros_like(
        self,
        a: ArrayLike,
        dtype: Typed[S],
        order: OrderLike = "K",
        subok: bool = True,
        shape: ShapeOrNone = None,
    ) -> NDArray[S]: ...
    @overload
    def zeros_like(
        self,
        a: ArrayLike,
        dtype: DTypeLike | None = None,
        order: OrderLike = "K",
        subok: bool = True,
        shape: ShapeOrNone = None,
    ) -> NDArray[Any]: ...
    ones_like = zeros_like
    @overload
    def full_like(
        self,
        a: _A,
        fill_value: Any,
        dtype: None = None,
        order: OrderLike = "K",
        subok: Literal[True] = True,
        shape: None = None,
    ) -> _A: ...
    @overload
    def full_like(
        self,
        a: NDArray[S],
        fill_value: Any,
        dtype: None = None,
        order: OrderLike = "K",
        subok: bool = True,
        shape: ShapeOrNone = None,
    ) -> NDArray[S]: ...
    @overload
    def full_like(
        self,
        a: ArrayLike,
        fill_value: Any,
        dtype: Typed[S],
        order: OrderLike = "K",
        subok: bool = True,
        shape: ShapeOrNone = None,
    ) -> NDArray[S]: ...
    @overload
    def full_like(
        self,
        a: ArrayLike,
        fill_value: Any,
        dtype: DTypeLike | None = None,
        order: OrderLike = "K",
        subok: bool = True,
        shape: ShapeOrNone = None,
    ) -> NDArray[Any]: ...
    @overload
    def array(
        self,
        object: NDArray[S],
        dtype: None = None,
        *,
        order: OrderLike = "K",
        subok: bool = False,
        ndmin: int = 0,
    ) -> NDArray[S]: ...
    @overload
    def array(
        self,
        object: ArrayLike,
        dtype: Typed[S],
        *,
        order: OrderLike = "K",
        subok: bool = False,
        ndmin: int = 0,
    ) -> NDArray[S]: ...
    @overload
    def array(
        self,
        object: ArrayLike,
        dtype: DTypeLike | None = None,
        *,
        order: OrderLike = "K",
        subok: bool = False,
        ndmin: int = 0,
    ) -> NDArray[Any]: ...
    @overload
    def ascontiguousarray(self, a: NDArray[S], dtype: None = None) -> NDArray[S]: ...
    @overload
    def ascontiguousarray(self, a: ArrayLike, dtype: Typed[S]) -> NDArray[S]: ...
    @overload
    def ascontiguousarray(self, a: ArrayLike, dtype: DTypeLike | None = None) -> NDArray[Any]: ...
    asfortranarray = ascontiguousarray
    def owns(self, a: NDArray[Any]) -> bool: ...

def touch(array: NDArray[Any]) -> None: ...
