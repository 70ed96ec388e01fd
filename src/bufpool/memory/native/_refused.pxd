# What NumPy's allocator was refused, in this thread.
from bufpool.memory.core.arena cimport Arena
from bufpool.memory.native._arena cimport PoolBase

# Set while one of the pool's own constructors has NumPy build an array: the hook of that arena does not wait, count or
# warn, because the constructor will. The constructor may provide a block, which the hook uses if the arena refuses.
cdef struct Building:
    Arena* arena       # null: none is built
    void* block        # null: none
    size_t refused     # bytes that the hook refused last; 0: none
cdef Building swap_building(Building now) noexcept      # returns what was before
cdef bint build_was_refused(size_t nbytes) noexcept  # whether an error for so many bytes is about the array being built

cdef void forget_refusals() noexcept
cdef object last_refused(PoolBase pool)               # the error for the last refusal; None: this pool refused nothing
cdef object add_note(PoolBase pool, object error)     # adds the reason, once, if the error is NumPy's for the refusal
