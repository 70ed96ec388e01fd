"""``pool.buffer(nbytes)``: a block of bytes for ``readinto``, ``recv_into``, ``pickle`` and every other reader of
the buffer protocol (PEP 3118).

Exports are counted. While there are exports the block stays: `Buffer.release` refuses, as `bytearray` and `mmap` do,
and the end of a ``with`` block defers the release until the buffer object is gone. Every view, counted or not, holds a
reference to that object.
"""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES

from cpython.ref cimport Py_REFCNT, PyObject

cimport cython

from bufpool.memory.native._arena cimport PoolBase, arena_release, name_of
from bufpool.memory.native._calls cimport bind_calls
from bufpool.memory.native._frames cimport names_in_caller
from bufpool.memory.native._block_sizes cimport checked_alignment
from bufpool.memory.native._trace cimport track, untrack
from bufpool.memory.native._unique cimport disown

import numpy as np

from bufpool._core.size_classes cimport kMaxBlock

from bufpool._words import amount, plural
from bufpool.errors import DoubleReleaseError, ExportedError, ReleasedError, SizeError

cdef extern from "Python.h":
    object PyNumber_Index(object)
    Py_ssize_t PyNumber_AsSsize_t(object, PyObject* overflow) except? -1

cdef char* FORMAT = b"B"


# A buffer has no reference to its pool or its name: without the GIL all threads would contend for that one count
# (measured: two threads on one pool did 0.33 of twice the work of one). Like an array it may outlive the pool.
@cython.final
cdef class Buffer:
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

    def __init__(self, *args, **kwargs):
        raise TypeError("a Buffer is made by BufferPool.buffer()")

    def __dealloc__(self):
        # Every export holds a reference to this object, so there are no exports left.
        if self.block != NULL:
            untrack(self.block)
            arena_release(self.block)

    def __sizeof__(self):
        """Bytes of the object and, until its block is back in the pool, of the block as requested."""
        return object.__sizeof__(self) + (self.nbytes if self.block != NULL else 0)

    # --- the buffer protocol ---

    def __getbuffer__(self, Py_buffer* view, int flags):
        with cython.critical_section(self):
            self._check_live()
            self.exports += 1
            self.was_exported = True
            view.buf = self.block
        view.obj = self
        view.len = <Py_ssize_t>self.nbytes
        view.readonly = 0
        view.itemsize = 1
        view.format = FORMAT if flags & PyBUF_FORMAT else NULL
        view.ndim = 1
        view.shape = <Py_ssize_t*>&self.nbytes if flags & PyBUF_ND else NULL
        view.strides = &view.itemsize if (flags & PyBUF_STRIDES) == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL

    def __releasebuffer__(self, Py_buffer* view):
        with cython.critical_section(self):
            self.exports -= 1

    def __dlpack__(self, **kwargs):
        """A DLPack capsule of the bytes; it counts as an export. Keywords as of `numpy.ndarray.__dlpack__`."""
        return np.frombuffer(self, "u1").__dlpack__(**kwargs)

    def __dlpack_device__(self):
        """Always the CPU."""
        return (1, 0)

    # --- the life of the block ---

    def release(self):
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
        with cython.critical_section(self):
            if self.ended or self.block == NULL:
                raise DoubleReleaseError(f"{self!r} was released before")
            if self.exports:
                raise ExportedError(f"{self!r} cannot be released while views of it exist")
            self.ended = True
        self.release_block()

    @property
    def released(self):
        """Whether the buffer was released and can no longer be used."""
        return self.ended or self.block == NULL

    def __enter__(self):
        self._check_live()
        return self

    def __exit__(self, kind, value, traceback, /):
        with cython.critical_section(self):
            if self.ended:
                return False
            self.ended = True
        self.release_block()
        return False

    cdef object release_block(self):
        """Return the block now if that is safe. The call that is going on holds one reference: see `bind_calls`."""
        cdef void* block = NULL
        # A view may outlive its export: NumPy's ndarray(buffer=...) keeps a plain reference. Local names are harmless.
        cdef Py_ssize_t names = 0 if not self.was_exported else names_in_caller(self, None)
        cdef bint unseen = not self.was_exported or Py_REFCNT(self) == 1 + names
        with cython.critical_section(self):
            if unseen and self.exports == 0:
                block = self.block
                self.block = NULL
        if block != NULL:
            untrack(block)
            arena_release(block)

    cdef object _check_live(self):
        if self.ended or self.block == NULL:
            raise ReleasedError(f"{self!r} was released")

    # --- as a sequence of bytes ---

    def __len__(self):
        self._check_live()
        return <Py_ssize_t>self.nbytes

    def __getitem__(self, item):
        return memoryview(self)[item]

    def __setitem__(self, item, value):
        memoryview(self)[item] = value

    def __bytes__(self):
        return bytes(memoryview(self))

    def __eq__(self, other):
        if self is other:
            return True
        if self.ended or self.block == NULL:
            return NotImplemented
        return memoryview(self) == other

    __hash__ = None

    def __reduce_ex__(self, protocol):
        raise TypeError(
            "cannot pickle or copy a Buffer; pickle.PickleBuffer(buffer) takes its bytes, out of band or in"
        )

    def __repr__(self):
        exports = f"{self.exports} {plural(self.exports, 'export')}"
        if self.ended and self.block != NULL:
            holders = f"{exports} {plural(self.exports, 'holds', 'hold')}" if self.exports else "references hold"
            state = f"released, {holders} it"
        elif self.ended or self.block == NULL:
            state = "released"
        else:
            state = f"at {<size_t>self.block:#x}, {exports}"
        pool = "no pool"                       # never set up
        if self.arena != NULL:
            name = name_of(self.arena, self.serial)
            pool = "a pool that is gone" if name is None else f"pool {name!r}"
        return f"<Buffer of {self.nbytes} {plural(self.nbytes, 'byte')}, {pool}, {state}>"


bind_calls(Buffer, ("release", "__exit__"))


cdef class BufferMaker(PoolBase):
    """A pool that makes buffers. Use `bufpool.BufferPool`."""

    def buffer(self, nbytes, *, alignment=None):
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
        # Not operator.index: without the GIL all threads would contend for that function's reference count.
        cdef object size = PyNumber_Index(nbytes)
        cdef Py_ssize_t wanted = PyNumber_AsSsize_t(size, NULL)         # clipped if it does not fit
        if wanted < 0 or <size_t>wanted > kMaxBlock:
            raise SizeError(f"pool {self.name!r}: nbytes must be from 0 to {amount(kMaxBlock)}, not {size}")
        cdef size_t aligned = 0 if alignment is None else checked_alignment(alignment, self.name)
        cdef bint zeroed = False
        # The wrapper first: if there is no memory for it, no block is lost.
        cdef Buffer buffer = Buffer.__new__(Buffer)
        buffer.arena = self.arena
        buffer.serial = self.serial
        buffer.nbytes = <size_t>wanted
        buffer.block = self.acquire_block(buffer.nbytes, aligned, &zeroed)
        track(buffer.block, buffer.nbytes)
        disown(<PyObject*>buffer)
        return buffer
