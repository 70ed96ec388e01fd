"""L5: arrays that are given back, and what type checkers know of them: ``pool.lease`` and ``pool.scratch``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from bufpool.native._arrays import ArrayPool
from bufpool.native._lease import Lease, make_lease
from bufpool.native._scratch import Scratch, make_scratch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike

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

__all__ = ["Lender"]


class Lender(ArrayPool):
    """A pool that lends arrays. Use `bufpool.BufferPool`."""

    __slots__ = ()

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
    def lease(
        self, shape: Shape, dtype: DTypeLike | None = None, order: Order = "C", *, alignment: Align = None
    ) -> Lease[Any]:
        """Return a context manager that gives an array for the length of a block.

        At the end its memory returns to the pool at once if nobody else can reach it. A plain local name of the array
        does not hinder that: the array becomes empty (its shape all zeros). With a view, a container or a memoryview
        still alive, the memory returns when they are gone.

        Arguments and errors as of `empty`; the array is made when the block is entered.

        Examples
        --------
        >>> import bufpool
        >>> with bufpool.BufferPool().lease((2, 2)) as a:
        ...     a[:] = 1
        ...     a.sum()
        np.float64(4.0)
        """
        return make_lease(self, shape, dtype, order, alignment)

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
    def scratch(
        self, shape: Shape, dtype: DTypeLike | None = None, order: Order = "C", *, alignment: Align = None
    ) -> Scratch[Any]:
        """Return a `Scratch`: arrays of one shape and dtype for reuse, the fastest path.

        Make it once and use it again and again: what it saves is the making of arrays.

        Arguments and errors as of `empty`.

        Examples
        --------
        >>> import bufpool
        >>> scratch = bufpool.BufferPool().scratch(1024, "f4")
        >>> with scratch as a:
        ...     a.fill(0)
        """
        return make_scratch(self, shape, dtype, order, alignment)
