// Counters that all threads share, the hot ones on cache lines of their own.
//
// What can be derived is not counted: a free list knows its own length and its pops, so that hits, idle blocks and
// owned blocks of a class cost the hot path nothing. Bytes are those of whole blocks.
#pragma once

#include "bufpool/_core/atomics.hpp"

namespace bufpool {

// Why idle memory was returned to the system.
enum class Drop : std::uint32_t { over_max_retained = 0, aged_out = 1, trimmed = 2, closed = 3 };
constexpr std::uint32_t kDropReasons = 4;

struct Counters {
    // Bytes of all blocks that are not in a shared free list: owned by clients, or cached by a thread.
    alignas(kNoSharing) Atomic<std::uint64_t> used;
    // Bytes of all blocks that exist; `reserved - used` is what the shared free lists hold.
    alignas(kNoSharing) Atomic<std::uint64_t> reserved;
    // Highest `used` so far.
    alignas(kNoSharing) Atomic<std::uint64_t> peak;
    Atomic<std::uint64_t> peak_reserved;          // highest `reserved` so far
    Atomic<std::uint64_t> mapped;                 // bytes of the system's memory, in use or not
    Atomic<std::uint64_t> free;                   // bytes of it that are idle in the page heap: any size may use them
    Atomic<std::uint64_t> purged;                 // bytes of accessible addresses without memory: purged, or not yet committed
    // Requests refused, by the limit or by the system. The layer above counts them, because it may wait first.
    Atomic<std::uint64_t> refused;
    Atomic<std::uint64_t> degraded;               // maps that wanted explicit huge pages and got none
    Atomic<std::uint64_t> drops[kDropReasons];          // times that memory was returned to the system, by reason
    Atomic<std::uint64_t> dropped_bytes[kDropReasons];  // the bytes returned
};

}  // namespace bufpool
