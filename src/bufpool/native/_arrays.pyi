from collections.abc import Sequence
from typing import Any, Literal, SupportsIndex, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from bufpool.native._handler import AllocatorPool

# As in NumPy's own stubs: no dtype means float64, a scalar type or a dtype tells the array's type, and a string or a
# type of Python's does not (for a type checker an int is a float).
_S = TypeVar("_S", bound=np.generic)
_A = TypeVar("_A", bound=NDArray[Any])
_Typed: TypeAlias = type[_S] | np.dtype[_S]
_Shape: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
_Alignment: TypeAlias = SupportsIndex | None
_Order: TypeAlias = Literal["C", "F"] | None
_OrderLike: TypeAlias = Literal["K", "A", "C", "F"] | None

class ArrayPool(AllocatorPool):
    @overload
    def empty(
        self, shape: _Shape, dtype: None = ..., order: _Order = "C", *, alignment: _Alignment = None
    ) -> NDArray[np.float64]: ...
    @overload
    def empty(
        self, shape: _Shape, dtype: _Typed[_S], order: _Order = "C", *, alignment: _Alignment = None
    ) -> NDArray[_S]: ...
    @overload
    def empty(
        self, shape: _Shape, dtype: DTypeLike, order: _Order = "C", *, alignment: _Alignment = None
    ) -> NDArray[Any]: ...
    @overload
    def zeros(
        self, shape: _Shape, dtype: None = ..., order: _Order = "C", *, alignment: _Alignment = None
    ) -> NDArray[np.float64]: ...
    @overload
    def zeros(
        self, shape: _Shape, dtype: _Typed[_S], order: _Order = "C", *, alignment: _Alignment = None
    ) -> NDArray[_S]: ...
    @overload
    def zeros(
        self, shape: _Shape, dtype: DTypeLike, order: _Order = "C", *, alignment: _Alignment = None
    ) -> NDArray[Any]: ...
    @overload
    def ones(
        self, shape: _Shape, dtype: None = ..., order: _Order = "C", *, alignment: _Alignment = None
    ) -> NDArray[np.float64]: ...
    @overload
    def ones(
        self, shape: _Shape, dtype: _Typed[_S], order: _Order = "C", *, alignment: _Alignment = None
    ) -> NDArray[_S]: ...
    @overload
    def ones(
        self, shape: _Shape, dtype: DTypeLike, order: _Order = "C", *, alignment: _Alignment = None
    ) -> NDArray[Any]: ...
    @overload
    def full(
        self,
        shape: _Shape,
        fill_value: _S,
        dtype: None = None,
        order: _Order = "C",
        *,
        alignment: _Alignment = None,
    ) -> NDArray[_S]: ...
    @overload
    def full(
        self,
        shape: _Shape,
        fill_value: Any,
        dtype: _Typed[_S],
        order: _Order = "C",
        *,
        alignment: _Alignment = None,
    ) -> NDArray[_S]: ...
    @overload
    def full(
        self,
        shape: _Shape,
        fill_value: Any,
        dtype: DTypeLike | None = None,
        order: _Order = "C",
        *,
        alignment: _Alignment = None,
    ) -> NDArray[Any]: ...
    @overload
    def empty_like(
        self,
        prototype: _A,
        dtype: None = None,
        order: _OrderLike = "K",
        subok: Literal[True] = True,
        shape: None = None,
    ) -> _A: ...
    @overload
    def empty_like(
        self,
        prototype: NDArray[_S],
        dtype: None = None,
        order: _OrderLike = "K",
        subok: bool = True,
        shape: _Shape | None = None,
    ) -> NDArray[_S]: ...
    @overload
    def empty_like(
        self,
        prototype: ArrayLike,
        dtype: _Typed[_S],
        order: _OrderLike = "K",
        subok: bool = True,
        shape: _Shape | None = None,
    ) -> NDArray[_S]: ...
    @overload
    def empty_like(
        self,
        prototype: ArrayLike,
        dtype: DTypeLike | None = None,
        order: _OrderLike = "K",
        subok: bool = True,
        shape: _Shape | None = None,
    ) -> NDArray[Any]: ...
    @overload
    def zeros_like(
        self,
        a: _A,
        dtype: None = None,
        order: _OrderLike = "K",
        subok: Literal[True] = True,
        shape: None = None,
    ) -> _A: ...
    @overload
    def zeros_like(
        self,
        a: NDArray[_S],
        dtype: None = None,
        order: _OrderLike = "K",
        subok: bool = True,
        shape: _Shape | None = None,
    ) -> NDArray[_S]: ...
    @overload
    def zeros_like(
        self,
        a: ArrayLike,
        dtype: _Typed[_S],
        order: _OrderLike = "K",
        subok: bool = True,
        shape: _Shape | None = None,
    ) -> NDArray[_S]: ...
    @overload
    def zeros_like(
        self,
        a: ArrayLike,
        dtype: DTypeLike | None = None,
        order: _OrderLike = "K",
        subok: bool = True,
        shape: _Shape | None = None,
    ) -> NDArray[Any]: ...
    @overload
    def ones_like(
        self,
        a: _A,
        dtype: None = None,
        order: _OrderLike = "K",
        subok: Literal[True] = True,
        shape: None = None,
    ) -> _A: ...
    @overload
    def ones_like(
        self,
        a: NDArray[_S],
        dtype: None = None,
        order: _OrderLike = "K",
        subok: bool = True,
        shape: _Shape | None = None,
    ) -> NDArray[_S]: ...
    @overload
    def ones_like(
        self,
        a: ArrayLike,
        dtype: _Typed[_S],
        order: _OrderLike = "K",
        subok: bool = True,
        shape: _Shape | None = None,
    ) -> NDArray[_S]: ...
    @overload
    def ones_like(
        self,
        a: ArrayLike,
        dtype: DTypeLike | None = None,
        order: _OrderLike = "K",
        subok: bool = True,
        shape: _Shape | None = None,
    ) -> NDArray[Any]: ...
    @overload
    def full_like(
        self,
        a: _A,
        fill_value: Any,
        dtype: None = None,
        order: _OrderLike = "K",
        subok: Literal[True] = True,
        shape: None = None,
    ) -> _A: ...
    @overload
    def full_like(
        self,
        a: NDArray[_S],
        fill_value: Any,
        dtype: None = None,
        order: _OrderLike = "K",
        subok: bool = True,
        shape: _Shape | None = None,
    ) -> NDArray[_S]: ...
    @overload
    def full_like(
        self,
        a: ArrayLike,
        fill_value: Any,
        dtype: _Typed[_S],
        order: _OrderLike = "K",
        subok: bool = True,
        shape: _Shape | None = None,
    ) -> NDArray[_S]: ...
    @overload
    def full_like(
        self,
        a: ArrayLike,
        fill_value: Any,
        dtype: DTypeLike | None = None,
        order: _OrderLike = "K",
        subok: bool = True,
        shape: _Shape | None = None,
    ) -> NDArray[Any]: ...
    @overload
    def array(
        self,
        object: NDArray[_S],
        dtype: None = None,
        *,
        order: _OrderLike = "K",
        subok: bool = False,
        ndmin: int = 0,
    ) -> NDArray[_S]: ...
    @overload
    def array(
        self,
        object: ArrayLike,
        dtype: _Typed[_S],
        *,
        order: _OrderLike = "K",
        subok: bool = False,
        ndmin: int = 0,
    ) -> NDArray[_S]: ...
    @overload
    def array(
        self,
        object: ArrayLike,
        dtype: DTypeLike | None = None,
        *,
        order: _OrderLike = "K",
        subok: bool = False,
        ndmin: int = 0,
    ) -> NDArray[Any]: ...
    @overload
    def ascontiguousarray(self, a: NDArray[_S], dtype: None = None) -> NDArray[_S]: ...
    @overload
    def ascontiguousarray(self, a: ArrayLike, dtype: _Typed[_S]) -> NDArray[_S]: ...
    @overload
    def ascontiguousarray(self, a: ArrayLike, dtype: DTypeLike | None = None) -> NDArray[Any]: ...
    @overload
    def asfortranarray(self, a: NDArray[_S], dtype: None = None) -> NDArray[_S]: ...
    @overload
    def asfortranarray(self, a: ArrayLike, dtype: _Typed[_S]) -> NDArray[_S]: ...
    @overload
    def asfortranarray(self, a: ArrayLike, dtype: DTypeLike | None = None) -> NDArray[Any]: ...
    def owns(self, a: NDArray[Any]) -> bool: ...

def touch(array: NDArray[Any]) -> None: ...
