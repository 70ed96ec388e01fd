// Magazines: a thread's own few blocks of each small class, in front of the shared free lists.
//
// After Bonwick and Adams (2001). A checkout that finds a block here costs no locked instruction, and threads that
// allocate and free small arrays do not meet. One thread alone writes a ThreadCache; others only read its counts, except
// that an idle thread's cache is *drained*: its blocks go to the shared lists (see ThreadCache).
// A bounded arena has none: a block parked with one thread could not serve another that waits at the limit.
#pragma once

#include "bufpool/_core/atomics.hpp"
#include "bufpool/_core/size_classes.hpp"

namespace bufpool {

struct Arena;

constexpr std::uint32_t kMagazineClasses = 8 + (16 - 9) * 8;     // blocks up to 64 KiB
constexpr std::uint32_t kMagazineBlocks = 32;
constexpr std::size_t kMagazineBytes = std::size_t{128} << 10;   // a class parks at most this, and at least 4 blocks

static_assert(class_size(kMagazineClasses - 1) == std::size_t{64} << 10);

constexpr std::uint32_t magazine_capacity(std::uint32_t class_index) noexcept {
    const std::size_t fit = kMagazineBytes / class_size(class_index);
    return fit > kMagazineBlocks ? kMagazineBlocks : fit < 4 ? 4 : static_cast<std::uint32_t>(fit);
}

struct Magazine {
    Atomic<std::uint32_t> count;          // blocks parked
    std::uint32_t capacity;               // most of them; set once (a division would cost more than the rest)
    Atomic<std::uint64_t> hits;           // checkouts served from here
    void* blocks[kMagazineBlocks];        // a stack: the block used last on top

    // The caller has read `top`, the count, and found room or a block. The block is written before the count goes up
    // (release): a fork's child, which reads another thread's magazine, finds no stale address in it.
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

// The owner says `busy` while it reads or writes its magazines, and looks whether the cache is open after that. Whoever
// drains it, under the arena's lock, closes it and looks whether the owner is busy after that. Each orders the two by a
// full barrier; the owner, who does it all the time, leaves that to the other: the system has every running thread of
// the process pass one (os_memory's `barrier_everywhere`). That is Dekker's algorithm with an asymmetric fence (Dice, Huang
// and Yang 2001, for biased locks). The owner of a closed cache uses the shared lists meanwhile.
struct alignas(kNoSharing) ThreadCache {
    Atomic<Arena*> open;                  // as `arena`; null while the cache is drained
    Atomic<std::uint32_t> busy;
    Atomic<std::uint32_t> taken;          // 1 while a thread owns it
    Arena* arena;                         // whose blocks
    ThreadCache* next_of_thread;          // the thread's caches for other arenas; the owner thread alone reads it
    ThreadCache* next_of_arena;           // set once; all caches of the arena, free ones too
    std::uint64_t seen;                   // what was done here when it was last looked at; under the arena's lock
    Magazine magazines[kMagazineClasses];

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
