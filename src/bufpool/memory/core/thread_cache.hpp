// Thread caches: each thread keeps a few blocks of each small class, in front of the shared free lists.
//
// A cache has a bin for each class: a short stack of blocks, which Bonwick and Adams (2001) call a magazine. A checkout that
// finds a block in its bin costs no locked instruction, and threads that allocate and free small arrays do not contend. Only
// its owner writes to a cache; others read its counts. But an idle thread's cache may be *drained*: its blocks go to the
// shared lists (see ThreadCache).
//
// An arena with a limit has no caches: a block cached by one thread could not serve another that waits at the limit.
#pragma once

#include "bufpool/_core/atomics.hpp"
#include "bufpool/_core/size_classes.hpp"

namespace bufpool {

struct Arena;

constexpr std::uint32_t kCachedClasses = 8 + (16 - 9) * 8;     // blocks up to 64 KiB
constexpr std::uint32_t kBinBlocks = 32;
constexpr std::size_t kBinBytes = std::size_t{128} << 10;      // a bin holds at most this, but at least 4 blocks

static_assert(class_size(kCachedClasses - 1) == std::size_t{64} << 10);

constexpr std::uint32_t bin_capacity(std::uint32_t class_index) noexcept {
    const std::size_t fit = kBinBytes / class_size(class_index);
    return fit > kBinBlocks ? kBinBlocks : fit < 4 ? 4 : static_cast<std::uint32_t>(fit);
}

struct CacheBin {
    Atomic<std::uint32_t> count;          // cached blocks
    std::uint32_t capacity;               // maximum of `count`; set once (a division would cost more than the rest)
    Atomic<std::uint64_t> hits;           // checkouts served from here
    void* blocks[kBinBlocks];             // a stack: the block used last on top

    // The caller passes the count that it has read as `top`. The block is written before the count goes up (release): a
    // fork's child, which reads the bins of threads that it does not have, finds no stale address in them.
    void* pop(std::uint32_t top) noexcept {
        void* const address = blocks[top - 1];
        count.store_relaxed(top - 1);
        hits.add_single_writer(1);
        return address;
    }
    void push(std::uint32_t top, void* address) noexcept {
        blocks[top] = address;
        count.store_release(top + 1);
    }
};

// The owner sets `busy` before it uses its bins, and then checks that the cache is open. A thread that drains the cache,
// under the arena's lock, closes it and then checks that the owner is not busy. Both need a full barrier between the two
// steps. The owner does this all the time, so the draining thread pays for both: it has the system make every running
// thread of the process pass a barrier (`barrier_everywhere`). That is Dekker's algorithm with an asymmetric fence (Dice,
// Huang and Yang 2001, for biased locks). While its cache is closed, the owner uses the shared lists.
struct alignas(kNoSharing) ThreadCache {
    Atomic<Arena*> open;                  // as `arena`; null while the cache is drained
    Atomic<std::uint32_t> busy;
    Atomic<std::uint32_t> owned;          // 1 while a thread owns it
    Arena* arena;                         // whose blocks it caches
    ThreadCache* next_of_thread;          // the thread's caches for other arenas; only the owner reads it
    ThreadCache* next_of_arena;           // set once; all caches of the arena, free ones too
    std::uint64_t activity;               // sum of the bins' operations at the last ageing; under the arena's lock
    CacheBin bins[kCachedClasses];

    bool enter(const Arena* of) noexcept {
        busy.store_relaxed(1);
        signal_fence();
        if (BUFPOOL_LIKELY(open.load_acquire() == of)) return true;
        leave();
        return false;
    }
    void leave() noexcept { busy.store_release(0); }
};

}  // namespace bufpool
