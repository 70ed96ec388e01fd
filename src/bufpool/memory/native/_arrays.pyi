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
    ) -> NDArray[np.float64]:
        """Return a new array in pooled memory, without setting its elements.

        The memory returns to the pool when the array and every view of it are gone.

        Parameters
        ----------
        shape : int or tuple of int
            Shape of the array.
        dtype : data-type, default None: float64
            Anything that `numpy.dtype` accepts, except types that hold references (``object``,
            `numpy.dtypes.StringDType`).
        order : {'C', 'F'}
            Row-major or column-major.
        alignment : int, optional
            Alignment of the first element in bytes: a power of two up to 2 MiB. It is never less than the pool's own.

        Returns
        -------
        numpy.ndarray

        Raises
        ------
        SizeError
            A dimension is negative, or the array is larger than the largest block, 64 TiB. A `ValueError`.
        ObjectDtypeError
            `dtype` holds references. A `TypeError`.
        AlignmentError
            `alignment` is not a power of two, or it is above 2 MiB. A `ValueError`.
        LimitError
            The pool's limit leaves no room. A `MemoryError`.
        ClosedError
            The pool is closed.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.BufferPool()
        >>> a = pool.empty((2, 3), "f4")
        >>> a.shape, a.dtype, a.ctypes.data % 64
        ((2, 3), dtype('float32'), 0)
        """
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
    ) -> NDArray[np.float64]:
        """Return a new array of zeros in pooled memory. Arguments and errors as of `empty`.

        Memory that has just come from the system is zero already and is not written again.

        Examples
        --------
        >>> import bufpool
        >>> bufpool.BufferPool().zeros(3, int)
        array([0, 0, 0])
        """
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
    ) -> NDArray[S]:
        """Return a new array in pooled memory, filled with `fill_value`.

        Arguments and errors as of `empty`. The default dtype is that of ``numpy.array(fill_value)``.

        Parameters
        ----------
        fill_value : scalar or array_like
            Value of each element. An array is broadcast to the shape.

        Examples
        --------
        >>> import bufpool
        >>> bufpool.BufferPool().full((2, 2), 7)
        array([[7, 7],
               [7, 7]])
        """
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
    ) -> NDArray[np.float64]:
        """Return a new array of ones in pooled memory. Arguments and errors as of `empty`.

        Examples
        --------
        >>> import bufpool
        >>> bufpool.BufferPool().ones(2, "i4")
        array([1, 1], dtype=int32)
        """
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
    ) -> _A:
        """Return a new array in pooled memory with the shape and dtype of `prototype`, without setting its elements.

        Arguments as of `numpy.empty_like`; errors as of `empty`.

        Examples
        --------
        >>> import bufpool, numpy as np
        >>> bufpool.BufferPool().empty_like(np.zeros((2, 5), order="F")).flags.f_contiguous
        True
        """
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
    ) -> _A:
        """Return zeros in pooled memory with the shape and dtype of `a`, as `numpy.zeros_like` does.

        Examples
        --------
        >>> import bufpool
        >>> bufpool.BufferPool().zeros_like([1.5, 2.5])
        array([0., 0.])
        """
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
    ) -> _A:
        """Return ones in pooled memory with the shape and dtype of `a`, as `numpy.ones_like` does.

        Examples
        --------
        >>> import bufpool
        >>> bufpool.BufferPool().ones_like([[3, 4]])
        array([[1, 1]])
        """
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
    ) -> _A:
        """Return an array in pooled memory, like `a` and filled with `fill_value`, as `numpy.full_like` does.

        Examples
        --------
        >>> import bufpool
        >>> bufpool.BufferPool().full_like([1, 2], 9)
        array([9, 9])
        """
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
    ) -> NDArray[S]:
        """Return a copy of `object` as an array in pooled memory, as ``numpy.array(..., copy=True)`` does.

        Examples
        --------
        >>> import bufpool
        >>> bufpool.BufferPool().array([[1, 2], [3, 4]], dtype="u1")
        array([[1, 2],
               [3, 4]], dtype=uint8)
        """
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
    def ascontiguousarray(self, a: NDArray[S], dtype: None = None) -> NDArray[S]:
        """Return `a` itself if it is C-contiguous and of that dtype, else a pooled copy, as `numpy.ascontiguousarray`.

        Examples
        --------
        >>> import bufpool, numpy as np
        >>> bufpool.BufferPool().ascontiguousarray(np.eye(3).T).flags.c_contiguous
        True
        """
    @overload
    def ascontiguousarray(self, a: ArrayLike, dtype: Typed[S]) -> NDArray[S]: ...
    @overload
    def ascontiguousarray(self, a: ArrayLike, dtype: DTypeLike | None = None) -> NDArray[Any]: ...
    @overload
    def asfortranarray(self, a: NDArray[S], dtype: None = None) -> NDArray[S]:
        """Return `a` itself if it is Fortran-ordered and of that dtype, else a pooled copy, as `numpy.asfortranarray`.

        Examples
        --------
        >>> import bufpool, numpy as np
        >>> bufpool.BufferPool().asfortranarray(np.ones((2, 3))).flags.f_contiguous
        True
        """
    @overload
    def asfortranarray(self, a: ArrayLike, dtype: Typed[S]) -> NDArray[S]: ...
    @overload
    def asfortranarray(self, a: ArrayLike, dtype: DTypeLike | None = None) -> NDArray[Any]: ...
    def owns(self, a: NDArray[Any]) -> bool:
        """Return whether the memory of `a`, an array or a view of one, comes from this pool.

        Parameters
        ----------
        a : numpy.ndarray
            Array of any shape and dtype.

        Examples
        --------
        >>> import bufpool, numpy as np
        >>> pool = bufpool.BufferPool()
        >>> pool.owns(pool.empty(9)[::2]), pool.owns(np.empty(9))
        (True, False)
        """

def touch(array: NDArray[Any]) -> None: ...
