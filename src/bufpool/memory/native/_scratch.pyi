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
    """Reusable arrays of one shape and dtype; made by `BufferPool.scratch`.

    Use it as a context manager, also nested and from several threads, or call `acquire` and `release`. The elements of
    an array are arbitrary at each checkout.

    Examples
    --------
    >>> import bufpool
    >>> scratch = bufpool.BufferPool().scratch((480, 640), "f4")
    >>> for frame in range(3):
    ...     with scratch as a:
    ...         a.fill(frame)
    >>> a = scratch.acquire()
    >>> scratch.release(a)
    """

    @property
    def pool(self) -> ArrayPool:
        """The pool that the memory comes from."""
    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of every array."""
    @property
    def dtype(self) -> np.dtype[_S]:
        """Dtype of every array."""
    def __init__(self, *args: object, **kwargs: object) -> NoReturn: ...
    def acquire(self) -> NDArray[_S]:
        """Check out an array.

        Returns
        -------
        numpy.ndarray
            An array of this scratch's shape and dtype to which nothing else refers.

        Raises
        ------
        LimitError
            A new array is needed, and the pool's limit leaves no room for it. A `MemoryError`.
        ClosedError
            The pool is closed.

        Examples
        --------
        >>> import bufpool
        >>> scratch = bufpool.BufferPool().scratch((2, 3), "f4")
        >>> a = scratch.acquire()
        >>> a.shape
        (2, 3)
        """
    def release(self, array: NDArray[_S]) -> None:
        """Return an array that came from `acquire`.

        It is used again once no name and no view refers to it.

        Parameters
        ----------
        array : numpy.ndarray
            The array itself, not a view of it.

        Raises
        ------
        DoubleReleaseError
            The array was released before, or it belongs to a ``with`` block, which releases it. A `ValueError`.
        ForeignReleaseError
            The array did not come from this scratch. A `ValueError`.

        Examples
        --------
        >>> import bufpool
        >>> scratch = bufpool.BufferPool().scratch(10)
        >>> a = scratch.acquire()
        >>> view = a[:5]
        >>> scratch.release(a)
        >>> scratch.acquire() is a              # `a` and `view` refer to it
        False
        """
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
    ) -> Scratch[np.float64]:
        """Return a `Scratch`: reusable arrays of one shape and dtype, the fastest way to get an array.

        Make it once and use it many times: it reuses the array objects, not only their memory.

        Arguments and errors as of `empty`.

        Examples
        --------
        >>> import bufpool
        >>> scratch = bufpool.BufferPool().scratch(1024, "f4")
        >>> with scratch as a:
        ...     a.fill(0)
        """
    @overload
    def scratch(
        self, shape: Shape, dtype: Typed[S], order: Order = "C", *, alignment: Align = None
    ) -> Scratch[S]: ...
    @overload
    def scratch(
        self, shape: Shape, dtype: DTypeLike, order: Order = "C", *, alignment: Align = None
    ) -> Scratch[Any]: ...
