from typing import Any, Literal, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from bufpool._typing import Align, Order, OrderLike, S, Shape, ShapeOrNone, Typed
from bufpool.memory.native._handler import AllocatorPool

_A = TypeVar("_A", bound=NDArray[Any])

class ArrayPool(AllocatorPool):
    @overload
    def empty(
        self, shape: Shape, dtype: None = None, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.float64]: ...
    @overload
    def empty(
        self, shape: Shape, dtype: Typed[S], order: Order = "C", *, alignment: Align = None
    ) -> NDArray[S]: ...
    @overload
    def empty(
        self, shape: Shape, dtype: DTypeLike, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[Any]: ...
    @overload
    def zeros(
        self, shape: Shape, dtype: None = None, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.float64]: ...
    @overload
    def zeros(
        self, shape: Shape, dtype: Typed[S], order: Order = "C", *, alignment: Align = None
    ) -> NDArray[S]: ...
    @overload
    def zeros(
        self, shape: Shape, dtype: DTypeLike, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[Any]: ...
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
        self,
        shape: Shape,
        fill_value: Any,
        dtype: DTypeLike | None = None,
        order: Order = "C",
        *,
        alignment: Align = None,
    ) -> NDArray[Any]: ...
    @overload
    def ones(
        self, shape: Shape, dtype: None = None, order: Order = "C", *, alignment: Align = None
    ) -> NDArray[np.float64]: ...
    @overload
    def ones(
        self, shape: Shape, dtype: Typed[S], order: Order = "C", *, alignment: Align = None
    ) -> NDArray[S]: ...
    @overload
    def ones(
        self, shape: Shape, dtype: DTypeLike, order: Order = "C", *, alignment: Align = None
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
    @overload
    def ones_like(
        self,
        a: _A,
        dtype: None = None,
        order: OrderLike = "K",
        subok: Literal[True] = True,
        shape: None = None,
    ) -> _A: ...
    @overload
    def ones_like(
        self,
        a: NDArray[S],
        dtype: None = None,
        order: OrderLike = "K",
        subok: bool = True,
        shape: ShapeOrNone = None,
    ) -> NDArray[S]: ...
    @overload
    def ones_like(
        self,
        a: ArrayLike,
        dtype: Typed[S],
        order: OrderLike = "K",
        subok: bool = True,
        shape: ShapeOrNone = None,
    ) -> NDArray[S]: ...
    @overload
    def ones_like(
        self,
        a: ArrayLike,
        dtype: DTypeLike | None = None,
        order: OrderLike = "K",
        subok: bool = True,
        shape: ShapeOrNone = None,
    ) -> NDArray[Any]: ...
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
    @overload
    def asfortranarray(self, a: NDArray[S], dtype: None = None) -> NDArray[S]: ...
    @overload
    def asfortranarray(self, a: ArrayLike, dtype: Typed[S]) -> NDArray[S]: ...
    @overload
    def asfortranarray(self, a: ArrayLike, dtype: DTypeLike | None = None) -> NDArray[Any]: ...
    def owns(self, a: NDArray[Any]) -> bool: ...

def touch(array: NDArray[Any]) -> None: ...
