# Contract: blocks of all sizes. Any thread, no GIL, no Python object.
from libc.stdint cimport uint32_t, uint64_t

from bufpool.memory.core.limit_queue cimport LimitQueue
from bufpool._core.os_memory cimport Upstream

cdef extern from "bufpool/memory/core/arena.hpp" namespace "bufpool" nogil:
    cdef enum class Refusal "bufpool::Refusal":
        none
        limit          # config.limit leaves no room, after idle memory of other sizes was purged
        no_memory      # the system refuses
        not_lockable   # mlock failed
        too_large      # beyond kMaxBlock
        closed

    cdef cppclass AtomicU32 "bufpool::Atomic<std::uint32_t>":
        uint32_t load_relaxed() noexcept

    cdef cppclass AtomicU64 "bufpool::Atomic<std::uint64_t>":
        uint64_t load_relaxed() noexcept
        uint64_t add_relaxed(uint64_t) noexcept   # the value after

    cdef struct Block:
        void* address      # null if refused
        Refusal refusal
        bint zeroed        # fresh zero pages of the system

    cdef struct ArenaConfig:
        uint64_t limit          # bytes, owned and idle
        uint64_t max_retained   # bytes, idle
        uint64_t min_retained   # bytes, idle, that never age out
        uint64_t max_idle_ns    # 0: never ages out
        uint64_t alignment      # bytes, of every block
        Upstream upstream
        bint wipe               # no block shows a byte of its last owner
        bint maintenance_thread  # purges idle memory while no thread calls the pool

    cdef cppclass Counters:
        AtomicU64 used       # bytes not in a shared free list: owned, or cached by a thread
        AtomicU64 reserved   # bytes of all blocks
        AtomicU64 peak       # highest `used`
        AtomicU64 peak_reserved   # highest `reserved`
        AtomicU64 mapped     # bytes of system memory
        AtomicU64 free       # bytes of it, idle and of no class
        AtomicU64 purged     # bytes of addresses without memory
        AtomicU64 refused    # requests; counted by the layer above
        AtomicU64 degraded   # maps that got no explicit huge pages
        AtomicU64 drops[4]   # times that memory was purged: over_max_retained, aged_out, trimmed, closed
        AtomicU64 dropped_bytes[4]

    cdef struct ClassReading:
        uint64_t size, existing, idle, hits, misses   # bytes, blocks, blocks, checkouts, checkouts

    cdef struct IdleReading:
        uint64_t trimmable      # bytes that trim(0) of this thread would return to the system
        uint64_t cached         # bytes in other threads' caches

    cdef struct ArenaIdentity:
        uint64_t serial         # of the pool that has the arena now: 1, 2, ... in the process
        uint64_t limit          # bytes
        void* name              # of that pool; null before `set_name`
        uint32_t closed
        uint32_t abandoned      # the pool is gone

    const uint64_t kUnlimited

    cdef cppclass Arena:
        ArenaConfig config
        Counters counters
        AtomicU32 closed
        LimitQueue queue
        void* attachment          # the NumPy handler's capsule, once made

        Block acquire(size_t nbytes) noexcept
        Block acquire_aligned(size_t nbytes, size_t alignment) noexcept
        Block acquire_for_zeros(size_t nbytes, size_t alignment) noexcept   # prefers fresh pages, if large
        Block acquire_zeroed(size_t nbytes) noexcept
        Block acquire_in_turn(size_t nbytes, size_t alignment) noexcept   # also what is reserved for the first waiter
        uint64_t trim(uint64_t keep) noexcept
        void close() noexcept
        void abandon() noexcept
        uint64_t cached_bytes() noexcept
        ClassReading read_class(uint32_t class_index) noexcept
        IdleReading read_idle() noexcept         # scans the nodes of slabs that have idle blocks
        ArenaIdentity identify() noexcept
        ArenaIdentity identify(void (*add_reference)(void*) noexcept) noexcept
        void* set_name(void* name) noexcept      # returns an earlier pool's
        Arena* older() noexcept                  # the arena made before this one, or null

        @staticmethod
        Arena* newest() noexcept                 # of the process
        @staticmethod
        Arena* create(const ArenaConfig& config) noexcept
        @staticmethod
        Arena* owner_of(const void* address) noexcept
        @staticmethod
        size_t usable_size(const void* address) noexcept
        @staticmethod
        bint release(void* address) noexcept
        @staticmethod
        bint resize(void* address, size_t nbytes) noexcept        # in place; false: it cannot
        @staticmethod
        void clear(void* address, size_t nbytes) noexcept
