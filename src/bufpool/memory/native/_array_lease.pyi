from types import TracebackType
from typing import Any, Generic, Literal, NoReturn, final, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray
from typing_extensions import TypeVar

from bufpool._typing import Align, Order, S, Shape, Typed
from bufpool.memory.native._arrays import ArrayPool

_S_co = TypeVar("_S_co", bound=np.generic, default=Any, covariant=True)

@final
class Lease(Generic[_S_co]):
    """An array for the duration of a ``with`` block; made by `BufferPool.lease`.

    Attributes
    ----------
    pool : BufferPool
        The pool that the memory comes from.

    Examples
    --------
    >>> import bufpool
    >>> pool = bufpool.BufferPool()
    >>> def total():
    ...     with pool.lease(1000, "i8") as a:
    ...         a[:] = 2
    ...         result = int(a.sum())
    ...     return result, a.size
    >>> total()
    (2000, 0)
    """

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
        self, shape: Shape, dtype: None = None, order: Order = "C", *, alignment: Align = None
    ) -> Lease[np.float64]:
        """Return a `Lease`: a context manager that provides an array for the duration of a ``with`` block.

        The memory returns to the pool when the block ends. If only local variables still refer to the array, it becomes
        empty: its shape is all zeros. If a view, a container or a memoryview refers to it, the array stays valid, and
        its memory returns when they are gone.

        Arguments and errors as of `empty`. The array is made when the block is entered.

        Examples
        --------
        >>> import bufpool
        >>> with bufpool.BufferPool().lease((2, 2)) as a:
        ...     a[:] = 1
        ...     a.sum()
        np.float64(4.0)
        """
    @overload
    def lease(
        self, shape: Shape, dtype: Typed[S], order: Order = "C", *, alignment: Align = None
    ) -> Lease[S]: ...
    @overload
    def lease(
        self, shape: Shape, dtype: DTypeLike, order: Order = "C", *, alignment: Align = None
    ) -> Lease[Any]: ...
