"""What stands behind a scratch: the arrays of one shape and dtype, and which of them may be handed out.

The array *objects* are kept, not only their memory. An array is handed out again only if the scratch alone holds it
and it looks as it was made; a released array that somebody still has a name or a view of waits until they let go. So
in ``with scratch as a`` two arrays alternate: the one that the name still holds, and the one that is free.
"""

from cpython.object cimport PyObject
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memset

cimport cython
cimport numpy as cnp

from bufpool.memory.core.arena cimport Block, Refusal, kUnlimited
from bufpool.memory.native._arena cimport arena_acquire
from bufpool.memory.native._arrays cimport ArrayFields, ArrayPool, detach, shape_of
from bufpool.memory.native._frames cimport names_in_caller
from bufpool.memory.native._unique cimport foreign_count, references_are, sole_reference

from bufpool.errors import DoubleReleaseError, ForeignReleaseError, ReleasedError

cdef extern from "Python.h":
    void Py_INCREF(PyObject*)
    void Py_DECREF(PyObject*)

cnp.import_array()


# A slot whose array went out through a `with` block has its lowest bit set: so the block's end knows its own.

cdef inline PyObject* entered(PyObject* array) noexcept:
    return <PyObject*>(<size_t>array | 1)


cdef inline bint is_entered(PyObject* slot) noexcept:
    return <size_t>slot & 1


cdef inline PyObject* plain(PyObject* slot) noexcept:
    return <PyObject*>(<size_t>slot & ~<size_t>1)


# Idle arrays kept; of those that others still look into, this many.
cdef Py_ssize_t MOST_IDLE = 64


# no_gc_clear: while a cycle through the pool is broken up, the pool must stay until we are gone.
@cython.final
@cython.no_gc_clear
cdef class Shelf:
    """The arrays of a `Scratch`, and its rules."""

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.count):
            Py_DECREF(plain(self.slots[i]))
        free(self.slots)

    cdef object take(self):
        """Check an array out."""
        cdef PyObject* top
        with cython.critical_section(self):
            if self.idle > 0:
                top = self.slots[self.idle - 1]
                if self.pristine(top):
                    self.idle -= 1
                    return <object>top
            return self.take_other()

    cdef object give_back(self, object array):
        """Return an array, or say what is wrong with it."""
        with cython.critical_section(self):
            if self.idle < self.count and self.slots[self.idle] == <PyObject*>array:
                self.idle += 1
                return None
            return self.give_back_other(array)

    def enter(self):
        """Begin a ``with`` block."""
        cdef PyObject* top
        with cython.critical_section(self):
            if self.idle > 0:
                top = self.slots[self.idle - 1]
                if self.pristine(top):
                    self.idle -= 1
                    self.slots[self.idle] = entered(top)
                    self.blocks += 1
                    return <object>top
            return self.enter_other()

    def leave(self, kind, value, traceback, /):
        """End the ``with`` block that was begun last."""
        # The array of the block that was entered last. Threads and tasks that interleave may mark each other's array as
        # idle; it is not handed out while somebody holds it, and no name is taken for stale while a block is open.
        cdef PyObject* array
        cdef Py_ssize_t i
        with cython.critical_section(self):
            self.blocks -= self.blocks > 0                       # by hand, one may be left more often than entered
            i = self.idle
            while i < self.count and not is_entered(self.slots[i]):
                i += 1
            if i < self.count:
                array = plain(self.slots[i])
                self.bring(i)
                self.slots[self.idle] = array
                if self.idle > 0 and not sole_reference(array):
                    # The block's name most likely holds it until the next block rebinds it: another goes on top.
                    self.slots[self.idle] = self.slots[self.idle - 1]
                    self.slots[self.idle - 1] = array
                self.idle += 1
        return False

    cdef void bring(self, Py_ssize_t slot) noexcept:
        """Make one that is out the newest of those; the order of the others stays."""
        cdef Py_ssize_t i
        cdef PyObject* array = self.slots[slot]
        for i in range(slot, self.idle, -1):
            self.slots[i] = self.slots[i - 1]
        self.slots[self.idle] = array

    cdef cnp.ndarray enter_other(self):
        cdef cnp.ndarray array = self.take_other()
        self.slots[self.idle] = entered(<PyObject*>array)        # where what goes out is put
        self.blocks += 1
        return array

    cdef bint pristine(self, PyObject* array) noexcept:
        """Whether we alone hold the array, and it looks as it was made."""
        cdef ArrayFields* fields = <ArrayFields*>array
        cdef int nd = self.request.nd
        if not (
            sole_reference(array)
            and fields.weakreflist == NULL
            and fields.flags == self.flags
            and fields.nd == nd
            and <void*>fields.descr == <void*>self.descr
            and fields.base == NULL
            and fields.mem_handler == <PyObject*>self.pool.capsule
            and <size_t>fields.data & self.misaligned == 0
            and (nd == 0 or (fields.dimensions[0] == self.layout[0] and fields.strides[0] == self.layout[nd]))
            and (nd < 2 or memcmp(fields.dimensions, self.layout, nd * sizeof(cnp.npy_intp)) == 0)
            and (nd < 2 or memcmp(fields.strides, self.layout + nd, nd * sizeof(cnp.npy_intp)) == 0)
            and self.pool.arena.closed.load_relaxed() == 0
        ):
            return False
        if self.pool.arena.config.wipe:
            memset(fields.data, 0, self.request.nbytes)
        return True

    cdef cnp.ndarray take_other(self):
        """The top idle array is not free: another one, one that was dropped without release, or a new one."""
        cdef Py_ssize_t i
        cdef PyObject* array
        cdef PyObject** wider
        cdef cnp.ndarray made
        if self.pool is None:
            raise ReleasedError("a Scratch is made by BufferPool.scratch()")
        if self.pool.arena.closed.load_relaxed():
            raise self.pool.refusal(self.request.nbytes, Refusal.closed, None)
        i = self.idle - 1
        while i >= 0:
            array = self.slots[i]
            if self.pristine(array):
                self.idle -= 1
                self.slots[i] = self.slots[self.idle]
                self.slots[self.idle] = array
                return <cnp.ndarray>array
            # Changed by its last user: its memory returns to the pool. Made by another thread, whose count of
            # references cannot be read without the GIL: it returns when that thread has merged it.
            if sole_reference(array) or foreign_count(array):
                self.drop(i)                         # this may run a callback that comes back here
                i = min(i, self.idle)
            i -= 1
        i = self.count - 1
        while i >= self.idle:
            array = plain(self.slots[i])
            if self.pristine(array):
                self.slots[i] = array
                self.bring(i)
                return <cnp.ndarray>array
            if sole_reference(array):
                self.drop(i)
                i = min(i, self.count)
            i -= 1
        while self.idle >= MOST_IDLE:                # their last users' views keep these; they are no longer ours
            self.drop(0)
        made = self.make()
        if self.count == self.room:
            wider = <PyObject**>realloc(self.slots, (self.room * 2 + 4) * sizeof(PyObject*))
            if wider == NULL:
                raise MemoryError("no memory for a scratch's records")
            self.slots = wider
            self.room = self.room * 2 + 4
        array = <PyObject*>made
        Py_INCREF(array)
        self.slots[self.count] = array
        self.count += 1
        self.bring(self.count - 1)
        return made

    cdef cnp.ndarray make(self):
        cdef Block block
        if self.pool.arena.config.limit != kUnlimited:
            # A bounded pool must neither fail nor wait for a name that its own caller has no more use for.
            block = arena_acquire(self.pool.arena, self.request.nbytes, self.request.alignment)
            if block.address != NULL:
                return self.pool.make_on(block.address, self.descr, &self.request)
            if block.refusal == Refusal.limit:
                self.detach_stale()
        return self.pool.make(self.descr, &self.request, False)

    cdef object detach_stale(self):
        """Empty the idle arrays that only local names of our caller hold; none while any `with` block is open."""
        cdef Py_ssize_t i = self.idle - 1
        cdef Py_ssize_t names
        cdef object array
        while i >= 0:
            array = <object>self.slots[i]
            names = names_in_caller(array, None)
            # The look may have started a garbage collection, and that may have come back here: all is asked anew.
            if (
                i < self.idle
                and self.slots[i] == <PyObject*>array
                and names > 0
                and references_are(<PyObject*>array, 2 + names)  # the slot's, and ours
                and self.blocks == 0
            ):
                detach(<cnp.ndarray>array, <PyObject*>self.pool.capsule)
                self.drop(i)
            i = min(i, self.idle) - 1

    cdef object give_back_other(self, object array):
        """Out of order: find it, or say what is wrong."""
        cdef Py_ssize_t i
        for i in range(self.idle, self.count):
            if self.slots[i] == <PyObject*>array:
                self.bring(i)
                self.idle += 1
                return None
            if self.slots[i] == entered(<PyObject*>array):
                raise DoubleReleaseError(f"{self!r}: a 'with' block has this array, and releases it at its end")
        for i in range(self.idle):
            if self.slots[i] == <PyObject*>array:
                raise DoubleReleaseError(f"{self!r}: this array was released before")
        raise ForeignReleaseError(f"{self!r}: never handed out this {type(array).__name__}")

    cdef void drop(self, Py_ssize_t slot) noexcept:
        """Give up our reference; the order of the others stays."""
        cdef Py_ssize_t i
        cdef PyObject* array = plain(self.slots[slot])
        self.count -= 1
        if slot < self.idle:
            self.idle -= 1
        for i in range(slot, self.count):
            self.slots[i] = self.slots[i + 1]
        Py_DECREF(array)

    def __repr__(self):
        shape = shape_of(self.request.nd, self.request.dims)
        name = "?" if self.pool is None else self.pool.name
        return (
            f"<Scratch of shape {shape}, dtype {self.descr}, pool {name!r}: "
            f"{self.count - self.idle} out, {self.idle} idle>"
        )


cdef Shelf make_shelf(ArrayPool pool, object shape, object dtype, object order, object alignment):
    cdef Shelf shelf = Shelf.__new__(Shelf)
    shelf.descr = pool.check(shape, dtype, order, alignment, &shelf.request)
    shelf.pool = pool
    # What NumPy makes of the request (sub-array and unsized dtypes, flags of trivial shapes) is the pattern.
    cdef cnp.ndarray pattern = pool.make(shelf.descr, &shelf.request, False)
    cdef ArrayFields* fields = <ArrayFields*>pattern
    cdef int i
    shelf.flags = fields.flags
    shelf.descr = pattern.dtype
    shelf.misaligned = max(shelf.request.alignment, pool.arena.config.alignment) - 1
    shelf.request.nd = fields.nd
    for i in range(fields.nd):
        shelf.request.dims[i] = shelf.layout[i] = fields.dimensions[i]
        shelf.layout[fields.nd + i] = fields.strides[i]
    return shelf
