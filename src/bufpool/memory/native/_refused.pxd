# What NumPy's allocator was refused, in this thread.
from bufpool.memory.core.arena cimport Arena
from bufpool.memory.native._arena cimport PoolBase

# While one of the pool's own constructors has NumPy build an array: the hook of that arena does not wait, count or
# warn, because the constructor will. It may have a block in hand, which the hook uses when it is refused.
cdef struct Building:
    Arena* arena       # null: none is built
    void* block        # null: none
    size_t refused     # bytes that the hook was asked for last and did not have; 0: none
cdef Building build_from(Building now) noexcept      # returns what was before
cdef bint build_was_refused(size_t nbytes) noexcept  # whether an error for so many bytes is about the array being built

cdef void forget_refusals() noexcept
cdef object last_refused(PoolBase pool)               # the error that says it; None: nothing by this pool
cdef object add_note(PoolBase pool, object error)     # if the error is NumPy's for it, the reason is added, once
