# The base class of pools, which has the arena, and C functions that the other modules call.
from libc.stdint cimport uint64_t

from bufpool.memory.core.arena cimport Arena, Block, Refusal
from bufpool.memory.native._sharing cimport Callers

cdef class PoolBase:
    cdef Arena* arena              # never null: a pool that was never set up has the closed arena
    cdef readonly str name
    cdef readonly object timeout   # seconds to wait at the limit; None: for ever
    cdef uint64_t serial           # of this pool in the process; 0 until __init__
    cdef bint owns_arena           # false until __init__, and after the arena was abandoned
    cdef Callers callers
    cdef object __weakref__

    # Returns a block or raises. `zeroed`: whether zeros are wanted; then whether the block is known to hold zeros.
    cdef void* acquire_block(self, size_t nbytes, size_t alignment, bint* zeroed) except NULL
    cdef void* acquire_slow(self, size_t nbytes, size_t alignment, Block refused, bint* zeroed) except NULL
    cdef object refusal_error(self, size_t nbytes, Refusal why, object waited)
    cdef object refusal_error_at(self, size_t nbytes, Refusal why, object waited, uint64_t used, uint64_t reserved)

cdef str name_of(Arena* arena, uint64_t serial)

# What the hooks of NumPy's allocator and the objects' deallocators call: no GIL, no Python object.
cdef Block arena_acquire(Arena* arena, size_t nbytes, size_t alignment) noexcept nogil
cdef void arena_release(void* address) noexcept nogil
cdef void arena_clear(void* address, size_t nbytes) noexcept nogil   # zeros from the start of the caller's block
cdef size_t arena_usable_size(const void* address) noexcept nogil      # from there to the end of its block
cdef Arena* arena_owner(const void* address) noexcept nogil     # null: foreign
cdef void* hook_malloc(void* arena, size_t nbytes) noexcept nogil
cdef void* hook_calloc(void* arena, size_t count, size_t size) noexcept nogil
cdef void* hook_realloc(void* arena, void* address, size_t nbytes) noexcept nogil
cdef void hook_free(void* arena, void* address, size_t nbytes) noexcept nogil

# Called by a hook when its arena refuses: a block after all, or the reason. `may_wait`: other code may run meanwhile.
ctypedef Block (*RefusedHook)(Arena* arena, size_t nbytes, Block refused, bint may_wait) noexcept nogil
cdef void call_when_refused(RefusedHook hook) noexcept
cdef Block arena_acquire_in_turn(Arena* arena, size_t nbytes, size_t alignment) noexcept nogil
# At the limit: collects garbage and waits like any request, but runs no signal handlers. `waited_ns`: 0 if it may not
# wait.
cdef Block wait_for_numpy(Arena* arena, size_t nbytes, uint64_t* waited_ns) noexcept
