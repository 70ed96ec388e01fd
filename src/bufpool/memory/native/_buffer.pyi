from types import TracebackType
from typing import Any, ClassVar, Literal, NoReturn, Self, SupportsIndex, final, overload

from typing_extensions import Buffer as Exporter
from typing_extensions import CapsuleType

from bufpool.memory.native._arena import PoolBase

@final
class Buffer:
    """A writable block of bytes; made by `BufferPool.buffer`.

    It supports ``len``, indexing, slicing (slices are memoryviews), ``bytes``, DLPack and the ``with`` statement. When
    nothing refers to it any more, its memory returns to the pool.

    Attributes
    ----------
    nbytes : int
        Size in bytes, also after its release.

    Examples
    --------
    >>> import bufpool, io
    >>> pool = bufpool.BufferPool()
    >>> with pool.buffer(4) as b:
    ...     io.BytesIO(b"pool").readinto(b)
    ...     bytes(b)
    4
    b'pool'
    """

    @property
    def nbytes(self) -> int: ...
    @property
    def released(self) -> bool:
        """Whether the buffer was released and can no longer be used."""
    def __init__(self, *args: object, **kwargs: object) -> NoReturn: ...
    def release(self) -> None:
        """Return the block to the pool.

        The buffer cannot be used afterwards. Some code keeps the address of the bytes without an export, such as
        ``numpy.ndarray(buffer=...)``. If that is possible, the block returns when the buffer object is gone.

        Raises
        ------
        ExportedError
            A memoryview, array or DLPack capsule refers to the bytes. A `BufferError`; the buffer is unchanged.
        DoubleReleaseError
            The buffer was released before. A `ValueError`.

        Examples
        --------
        >>> import bufpool
        >>> b = bufpool.BufferPool().buffer(8)
        >>> with memoryview(b):
        ...     b.release()
        Traceback (most recent call last):
        bufpool.errors.ExportedError: ...
        >>> b.release()
        """
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __release_buffer__(self, buffer: memoryview, /) -> None: ...
    def __dlpack__(self, **kwargs: Any) -> CapsuleType: ...
    def __dlpack_device__(self) -> tuple[Literal[1], Literal[0]]: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Literal[False]: ...
    def __sizeof__(self) -> int: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, item: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, item: slice, /) -> memoryview: ...
    @overload
    def __setitem__(self, item: SupportsIndex, value: SupportsIndex, /) -> None: ...
    @overload
    def __setitem__(self, item: slice, value: Exporter, /) -> None: ...
    def __bytes__(self) -> bytes: ...
    def __eq__(self, other: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleMethodOverride]
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn: ...

class BufferMaker(PoolBase):
    def buffer(self, nbytes: SupportsIndex, *, alignment: SupportsIndex | None = None) -> Buffer:
        """Return a `Buffer` of `nbytes` bytes, without setting them.

        Use it with ``readinto``, ``recv_into`` and everything else that takes a writable buffer.

        Parameters
        ----------
        nbytes : int
            Size in bytes, from 0 to 64 TiB.
        alignment : int, optional
            Alignment of the first byte in bytes: a power of two up to 2 MiB. It is never less than the pool's own.

        Raises
        ------
        SizeError
            `nbytes` is negative or above 64 TiB. A `ValueError`.
        AlignmentError
            `alignment` is not a power of two, or it is above 2 MiB. A `ValueError`.
        LimitError
            The pool's limit leaves no room. A `MemoryError`.
        ClosedError
            The pool is closed.

        Examples
        --------
        >>> import bufpool
        >>> b = bufpool.BufferPool().buffer(3)
        >>> b[:] = b"abc"
        >>> bytes(b[1:])
        b'bc'
        """
