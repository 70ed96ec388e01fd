"""The slots of a scratch: its arrays of one shape and dtype, and which of them may be reused.

The array *objects* are kept, not only their memory. An array is reused only if the scratch has the only reference to
it and it looks as when it was made. A released array that still has a name or a view waits until those are gone. So in
``with scratch as a`` two arrays alternate: the one that the name still holds, and the one that is free.
"""

from cpython.object cimport PyObject
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memset

cimport cython
cimport numpy as cnp

from bufpool.memory.core.arena cimport Block, Refusal, kUnlimited
from bufpool.memory.native._arena cimport arena_acquire
from bufpool.memory.native._array_request cimport check_request, shape_of
from bufpool.memory.native._arrays cimport ArrayFields, ArrayPool, detach
from bufpool.memory.native._frames cimport names_in_caller
from bufpool.memory.native._unique cimport foreign_count, references_are, sole_reference

from bufpool.errors import DoubleReleaseError, ForeignReleaseError, ReleasedError

cdef extern from "Python.h":
    void Py_INCREF(PyObject*)
    void Py_DECREF(PyObject*)

cnp.import_array()


# The lowest bit of a slot is set if a `with` block has its array: so the end of the block finds it.

cdef inline PyObject* entered(PyObject* array) noexcept:
    return <PyObject*>(<size_t>array | 1)


cdef inline bint is_entered(PyObject* slot) noexcept:
    return <size_t>slot & 1


cdef inline PyObject* plain(PyObject* slot) noexcept:
    return <PyObject*>(<size_t>slot & ~<size_t>1)


# Maximum number of idle arrays that are kept although they cannot be reused yet.
cdef Py_ssize_t MOST_IDLE = 64


# no_gc_clear: while the collector breaks up a cycle through the pool, the pool must outlive this object.
@cython.final
@cython.no_gc_clear
cdef class ScratchSlots:
    """The arrays of a `Scratch`, and its rules."""

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.count):
            Py_DECREF(plain(self.slots[i]))
        free(self.slots)

    cdef object acquire(self):
        """Check an array out."""
        cdef PyObject* top
        with cython.critical_section(self):
            if self.idle > 0:
                top = self.slots[self.idle - 1]
                if self.is_reusable(top):
                    self.idle -= 1
                    return <object>top
            return self.acquire_slow()

    cdef object release(self, object array):
        """Return an array that was checked out; raise an error for any other."""
        with cython.critical_section(self):
            if self.idle < self.count and self.slots[self.idle] == <PyObject*>array:
                self.idle += 1
                return None
            return self.release_out_of_order(array)

    def enter(self):
        """Begin a ``with`` block."""
        cdef PyObject* top
        with cython.critical_section(self):
            if self.idle > 0:
                top = self.slots[self.idle - 1]
                if self.is_reusable(top):
                    self.idle -= 1
                    self.slots[self.idle] = entered(top)
                    self.blocks += 1
                    return <object>top
            return self.enter_slow()

    def leave(self, kind, value, traceback, /):
        """End the ``with`` block that was begun last."""
        # This is the array of the block that was entered last. Threads and tasks that interleave may mark each other's
        # array as idle. That is harmless: it is not reused while it has a name, and no array is detached while a block
        # is open.
        cdef PyObject* array
        cdef Py_ssize_t i
        with cython.critical_section(self):
            self.blocks -= self.blocks > 0                       # called by hand, it may run more often than `enter`
            i = self.idle
            while i < self.count and not is_entered(self.slots[i]):
                i += 1
            if i < self.count:
                array = plain(self.slots[i])
                self.move_to_newest(i)
                self.slots[self.idle] = array
                if self.idle > 0 and not sole_reference(array):
                    # The block's name probably holds it until the next block rebinds it: put another array on top.
                    self.slots[self.idle] = self.slots[self.idle - 1]
                    self.slots[self.idle - 1] = array
                self.idle += 1
        return False

    cdef void move_to_newest(self, Py_ssize_t slot) noexcept:
        """Make an array that is checked out the newest of those; the others keep their order."""
        cdef Py_ssize_t i
        cdef PyObject* array = self.slots[slot]
        for i in range(slot, self.idle, -1):
            self.slots[i] = self.slots[i - 1]
        self.slots[self.idle] = array

    cdef cnp.ndarray enter_slow(self):
        cdef cnp.ndarray array = self.acquire_slow()
        self.slots[self.idle] = entered(<PyObject*>array)        # `acquire_slow` puts it there
        self.blocks += 1
        return array

    cdef bint is_reusable(self, PyObject* array) noexcept:
        """Whether this object has the only reference to the array, and it looks as when it was made."""
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

    cdef cnp.ndarray acquire_slow(self):
        """Check out another idle array, one that was dropped without a release, or a new one."""
        cdef Py_ssize_t i
        cdef PyObject* array
        cdef PyObject** wider
        cdef cnp.ndarray made
        if self.pool is None:
            raise ReleasedError("a Scratch is made by BufferPool.scratch()")
        if self.pool.arena.closed.load_relaxed():
            raise self.pool.refusal_error(self.request.nbytes, Refusal.closed, None)
        i = self.idle - 1
        while i >= 0:
            array = self.slots[i]
            if self.is_reusable(array):
                self.idle -= 1
                self.slots[i] = self.slots[self.idle]
                self.slots[self.idle] = array
                return <cnp.ndarray>array
            # An array that its last user changed: its memory returns to the pool now. One made by another thread, whose
            # reference count cannot be read without the GIL: it returns when that thread has merged the count.
            if sole_reference(array) or foreign_count(array):
                self.discard(i)                      # this may run code that calls this scratch
                i = min(i, self.idle)
            i -= 1
        i = self.count - 1
        while i >= self.idle:
            array = plain(self.slots[i])
            if self.is_reusable(array):
                self.slots[i] = array
                self.move_to_newest(i)
                return <cnp.ndarray>array
            if sole_reference(array):
                self.discard(i)
                i = min(i, self.count)
            i -= 1
        while self.idle >= MOST_IDLE:                # their last users' views keep them alive
            self.discard(0)
        made = self.make()
        if self.count == self.capacity:
            wider = <PyObject**>realloc(self.slots, (self.capacity * 2 + 4) * sizeof(PyObject*))
            if wider == NULL:
                raise MemoryError("no memory for a scratch's records")
            self.slots = wider
            self.capacity = self.capacity * 2 + 4
        array = <PyObject*>made
        Py_INCREF(array)
        self.slots[self.count] = array
        self.count += 1
        self.move_to_newest(self.count - 1)
        return made

    cdef cnp.ndarray make(self):
        cdef Block block
        if self.pool.arena.config.limit != kUnlimited:
            # With a limit, a stale name of the caller's must not make the request wait or fail.
            block = arena_acquire(self.pool.arena, self.request.nbytes, self.request.alignment)
            if block.address != NULL:
                return self.pool.make(self.descr, &self.request, False, block.address)
            if block.refusal == Refusal.limit:
                self.detach_stale()
        return self.pool.make(self.descr, &self.request, False, NULL)

    cdef object detach_stale(self):
        """Detach the idle arrays that only local names of the caller hold, unless any `with` block is open."""
        cdef Py_ssize_t i = self.idle - 1
        cdef Py_ssize_t names
        cdef object array
        while i >= 0:
            array = <object>self.slots[i]
            names = names_in_caller(array, None)
            # The call may have started a garbage collection whose finalizers used this scratch: check all again.
            if (
                i < self.idle
                and self.slots[i] == <PyObject*>array
                and names > 0
                and references_are(<PyObject*>array, 2 + names)  # the slot's, and `array`
                and self.blocks == 0
            ):
                detach(<cnp.ndarray>array, <PyObject*>self.pool.capsule)
                self.discard(i)
            i = min(i, self.idle) - 1

    cdef object release_out_of_order(self, object array):
        """Release an array that is not the newest, or raise the error that says what is wrong."""
        cdef Py_ssize_t i
        for i in range(self.idle, self.count):
            if self.slots[i] == <PyObject*>array:
                self.move_to_newest(i)
                self.idle += 1
                return None
            if self.slots[i] == entered(<PyObject*>array):
                raise DoubleReleaseError(f"{self!r}: a 'with' block has this array, and releases it at its end")
        for i in range(self.idle):
            if self.slots[i] == <PyObject*>array:
                raise DoubleReleaseError(f"{self!r}: this array was released before")
        raise ForeignReleaseError(f"{self!r}: never handed out this {type(array).__name__}")

    cdef void discard(self, Py_ssize_t slot) noexcept:
        """Drop the reference to an array; the others keep their order."""
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


cdef ScratchSlots make_scratch_slots(ArrayPool pool, object shape, object dtype, object order, object alignment):
    cdef ScratchSlots slots = ScratchSlots.__new__(ScratchSlots)
    slots.descr = check_request(pool, shape, dtype, order, alignment, &slots.request)
    slots.pool = pool
    # An array as NumPy makes it is the pattern: NumPy resolves sub-array and unsized dtypes and sets flags.
    cdef cnp.ndarray pattern = pool.make(slots.descr, &slots.request, False, NULL)
    cdef ArrayFields* fields = <ArrayFields*>pattern
    cdef int i
    slots.flags = fields.flags
    slots.descr = pattern.dtype
    slots.misaligned = max(slots.request.alignment, pool.arena.config.alignment) - 1
    slots.request.nd = fields.nd
    for i in range(fields.nd):
        slots.request.dims[i] = slots.layout[i] = fields.dimensions[i]
        slots.layout[fields.nd + i] = fields.strides[i]
    return slots
