// The arena without Python, rule by rule, with exact figures: sizes, zeros, counts, what is kept and what goes,
// ageing, closing, reuse; and two figures that threads must not tear, the limit and the peak.
#include "arenas.hpp"

#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

using namespace bufpool;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

void* take(Arena* arena, std::size_t nbytes) {
    const Block block = arena->acquire(nbytes);
    CHECK(block.address != nullptr && Arena::usable_size(block.address) >= nbytes);
    return block.address;
}

std::vector<void*> take_many(Arena* arena, unsigned count, std::size_t nbytes) {
    std::vector<void*> blocks;
    for (unsigned i = 0; i < count; ++i) blocks.push_back(take(arena, nbytes));
    return blocks;
}

void release_all(std::vector<void*>& blocks) {
    for (void* each : blocks) CHECK(Arena::release(each));
    blocks.clear();
}

// The most that is resident beside the blocks while so many are taken.
std::uint64_t most_beside(const Settings& settings, unsigned count, std::size_t nbytes) {
    Arena* const arena = make(settings);
    std::vector<void*> blocks;
    std::uint64_t most = 0;
    for (unsigned i = 0; i < count; ++i) {
        blocks.push_back(take(arena, nbytes));
        const std::uint64_t more = arena->counters.mapped.load_relaxed() - arena->counters.used.load_relaxed();
        if (more > most) most = more;
    }
    release_all(blocks);
    all_back(arena);
    return most;
}

// An arena of some size grows by whole huge pages, whatever size its blocks have; not one that is small, or must be.
void huge_pages() {
    Settings settings;
    settings.upstream.pages = Pages::huge_advised;
    Settings limited = settings, retained = settings, aligned = settings;
    limited.limit = 128 * kMiB;
    retained.max_retained = kMiB;
    aligned.alignment = kHugePage;
    Settings plain = aligned;
    plain.upstream.pages = Pages::plain;
    CHECK(most_beside(aligned, 800, 70'000) == most_beside(plain, 800, 70'000));
    if (!has_huge_pages()) return;
    for (std::size_t nbytes : {std::size_t{5000}, std::size_t{60'000}, std::size_t{500'000}, kMiB}) {
        const auto count = [&](std::size_t mib) { return static_cast<unsigned>(mib * kMiB / nbytes); };
        const std::uint64_t most = most_beside(settings, count(60), nbytes);
        CHECK(most > most_beside(limited, count(60), nbytes) + kHugePage / 2);
        CHECK(most > most_beside(retained, count(60), nbytes) + kHugePage / 2);
        CHECK(most_beside(settings, count(30), nbytes) < kHugePage * 3 / 4);
        CHECK(most < 60 * kMiB / 8);
    }
}

// Not in holes between blocks, where the rest of each would stay idle.
void huge_pages_in_holes() {
    Settings settings;
    settings.upstream.pages = Pages::huge_advised;
    Arena* const arena = make(settings);
    std::vector<void*> kept, dropped;
    for (unsigned i = 0; i < 60; ++i) (i % 2 == 0 ? kept : dropped).push_back(take(arena, 4 * kMiB));
    release_all(dropped);
    arena->trim(0);
    for (unsigned i = 0; i < 30; ++i) {
        kept.push_back(take(arena, 2 * kMiB));
        CHECK(idle_in(arena) <= arena->counters.mapped.load_relaxed() / 20 + kHugePage);
    }
    release_all(kept);
    all_back(arena);
}

// The bound on idle memory holds while an arena grows.
void huge_pages_within_the_bound() {
    Settings settings;
    settings.upstream.pages = Pages::huge_advised;
    settings.max_retained = 48 * kMiB;
    Arena* const arena = make(settings);
    std::vector<void*> blocks = take_many(arena, 100, kMiB), idle = take_many(arena, 47, 3 * kHugePage / 2);
    for (unsigned i = 0; i < 60; ++i) {
        if (i < idle.size()) CHECK(Arena::release(idle[i]));
        blocks.push_back(take(arena, 700'000));
        CHECK(idle_in(arena) <= settings.max_retained);
    }
    release_all(blocks);
    all_back(arena);
}

// Large zeros take none as a whole, because most of their pages may never be written to.
void huge_pages_of_zeros() {
    Settings settings;
    settings.upstream.pages = Pages::huge_advised;
    Arena* const arena = make(settings);
    std::vector<void*> blocks = take_many(arena, 60, kMiB);
    for (std::size_t granules : {0u, 5u, 10u, 15u}) {
        blocks.push_back(arena->acquire_zeroed(kLazyZeros + granules * kRegionAlign).address);
        CHECK(blocks.back() != nullptr && idle_in(arena) == 0);
    }
    release_all(blocks);
    all_back(arena);
}

// Each class serves its own size and what is above the class below, no more and no less.
void sizes() {
    for (std::uint32_t c = 0; c + 1 < kClassCount; ++c) {
        CHECK(class_of(class_size(c)) == c);
        CHECK(class_of(class_size(c) + 1) == c + 1);
    }
}

// Memory of the last owner is not zero, and what is promised as zero is.
void zeros() {
    for (Arena* arena : {make({}), make({64 * kMiB})}) {
        for (std::size_t nbytes : {std::size_t{100}, std::size_t{5000}, std::size_t{100'000}, 3 * kMiB}) {
            void* const dirty = take(arena, nbytes);
            std::memset(dirty, 0xEE, Arena::usable_size(dirty));
            CHECK(Arena::release(dirty));
            const Block clean = arena->acquire_zeroed(nbytes);
            const unsigned char* const bytes = static_cast<unsigned char*>(clean.address);
            CHECK(clean.address == dirty);
            for (std::size_t i = 0; i < nbytes; ++i) CHECK(bytes[i] == 0);
            CHECK(Arena::release(clean.address));
        }
        // Some used pages and some fresh ones: a block that grew into the memory behind it, and came back.
        void* const grows = take(arena, kMiB);
        std::memset(grows, 0xEE, kMiB);
        CHECK(Arena::resize(grows, 6 * kMiB));
        std::memset(grows, 0xEE, 2 * kMiB);
        CHECK(Arena::release(grows) && arena->trim(2 * kMiB) != 0);
        const Block mixed = arena->acquire_zeroed(8 * kMiB);
        const unsigned char* const bytes = static_cast<unsigned char*>(mixed.address);
        for (std::size_t i = 0; i < 8 * kMiB; ++i) CHECK(bytes[i] == 0);
        CHECK(Arena::release(mixed.address));
        all_back(arena);
    }
    // A block begins and ends inside of a page, and one of those two alone was used.
    for (std::size_t whole = 600 * 1024; whole <= kMiB; whole += 64 * 1024) {
        Arena* const arena = make({});
        void* const first = take(arena, 480 * 1024);
        std::memset(first, 0xEE, Arena::usable_size(first));
        CHECK(Arena::release(first));
        void* const second = take(arena, 448 * 1024);
        const Block third = arena->acquire_zeroed(whole);
        for (std::size_t i = 0; i < whole; ++i) CHECK(static_cast<unsigned char*>(third.address)[i] == 0);
        CHECK(Arena::release(second) && Arena::release(third.address));
        all_back(arena);
    }
}

// A checkout is a hit or a miss; trimming is neither.
void counts() {
    for (std::uint64_t limit : {kUnlimited, std::uint64_t{64 * kMiB}}) {
        Arena* const arena = make({limit});
        for (std::size_t nbytes : {std::size_t{1000}, std::size_t{100'000}, 3 * kMiB}) {
            const std::uint32_t c = class_of(nbytes);
            std::vector<void*> blocks = take_many(arena, 3, nbytes);
            release_all(blocks);
            blocks = take_many(arena, 2, nbytes);
            ClassReading reading = arena->read_class(c);
            CHECK(reading.misses == 3 && reading.hits == 2);
            // Idle memory of large blocks belongs to no class.
            CHECK(nbytes == 3 * kMiB ? reading.existing == 2 && reading.idle == 0
                                     : reading.existing == 3 && reading.idle == 1);
            release_all(blocks);
            arena->trim(0);
            reading = arena->read_class(c);
            CHECK(reading.existing == 0 && reading.idle == 0 && reading.misses == 3 && reading.hits == 2);
        }
        CHECK(arena->counters.peak.load_relaxed() >= 3 * class_size(class_of(3 * kMiB)));
        all_back(arena);
    }
}

// Whether it is so many bytes, give or take a granule.
bool about(std::uint64_t bytes, std::uint64_t expected) {
    return bytes + kRegionAlign >= expected && bytes <= expected + kRegionAlign;
}

// As much stays idle as max_retained says, but for a granule of large blocks; of small ones, which go by slabs, a little
// more.
void retained() {
    Arena* arena = make({kUnlimited, 8 * kMiB});
    std::vector<void*> blocks = take_many(arena, 6, 2 * kMiB);
    release_all(blocks);
    CHECK(idle_in(arena) <= 8 * kMiB && about(idle_in(arena), 8 * kMiB));
    CHECK(about(dropped(arena, Drop::over_max_retained), 4 * kMiB));
    all_back(arena);
    arena = make({kUnlimited, 0});
    blocks = take_many(arena, 3, 2 * kMiB);
    release_all(blocks);
    CHECK(arena->counters.reserved.load_relaxed() == 0 && arena->counters.mapped.load_relaxed() == 0);
    all_back(arena);
    arena = make({kUnlimited, 4 * kMiB});
    blocks = take_many(arena, 16 * 1024, 1024);
    release_all(blocks);
    CHECK(idle_in(arena) <= 6 * kMiB && dropped(arena, Drop::over_max_retained) >= 10 * kMiB);
    all_back(arena);
}

// A trim keeps what it is told, returns the bytes that it released, and their addresses are no longer the arena's.
void trimming() {
    Arena* const arena = make({});
    std::vector<void*> blocks = take_many(arena, 4, 2 * kMiB);
    const std::vector<void*> addresses = blocks;
    release_all(blocks);
    CHECK(about(arena->trim(4 * kMiB), 4 * kMiB));
    CHECK(idle_in(arena) <= 4 * kMiB && about(idle_in(arena), 4 * kMiB));
    CHECK(arena->trim(4 * kMiB) == 0);
    CHECK(about(arena->trim(0), 4 * kMiB) && idle_in(arena) == 0);
    for (void* each : addresses) {
        CHECK(Arena::owner_of(each) == nullptr && Arena::usable_size(each) == 0 && !Arena::release(each));
    }
    // A slab goes when all its blocks are idle, and stays for one that is not.
    blocks = take_many(arena, 400, 1000);
    void* const last = blocks.back();
    blocks.pop_back();
    std::memset(last, 0x5A, 1000);
    release_all(blocks);
    arena->trim(0);
    CHECK(Arena::owner_of(last) == arena && static_cast<unsigned char*>(last)[999] == 0x5A);
    CHECK(Arena::release(last));
    // Purged blocks are handed out page by page, whatever the order in which they were released.
    blocks = take_many(arena, 30'000, 64);
    for (std::size_t i = 0; i < blocks.size(); ++i) std::swap(blocks[i], blocks[i * 7919 % blocks.size()]);
    void* const survivor = blocks.back();
    blocks.pop_back();
    release_all(blocks);
    arena->trim(0);
    blocks = take_many(arena, 3'000, 64);
    arena->trim(0);
    CHECK(arena->counters.mapped.load_relaxed() < 3'000 * 64 + 3 * kRegionAlign);
    release_all(blocks);
    CHECK(Arena::release(survivor));
    all_back(arena);
}

void foreign_addresses() {
    int own = 0;
    for (std::uintptr_t each : {std::uintptr_t{0}, std::uintptr_t{1} << 47, std::uintptr_t{1} << 52,
                                ~std::uintptr_t{0}, reinterpret_cast<std::uintptr_t>(&own)}) {
        void* const address = reinterpret_cast<void*>(each);
        CHECK(Arena::owner_of(address) == nullptr && Arena::usable_size(address) == 0 && !Arena::release(address));
    }
}

// A request that the system refuses changes nothing.
void refused_by_the_system() {
    Arena* const arena = make({});
    for (int i = 0; i < 3; ++i) CHECK(arena->acquire(kMaxBlock).refusal == Refusal::no_memory);
    CHECK(arena->counters.reserved.load_relaxed() == 0);
    CHECK(Arena::release(take(arena, 3 * kMiB)));
    all_back(arena);
}

// After closing nothing is handed out, not what the thread itself had cached either, and nothing is kept.
void closing() {
    Arena* const arena = make({});
    std::vector<void*> blocks = take_many(arena, 5, 1000), large = take_many(arena, 2, 3 * kMiB);
    CHECK(Arena::release(blocks.back()) && Arena::release(large.back()));
    blocks.pop_back();
    large.pop_back();
    arena->close();
    CHECK(arena->acquire(1000).refusal == Refusal::closed && arena->acquire(3 * kMiB).refusal == Refusal::closed);
    release_all(large);
    release_all(blocks);
    CHECK(arena->cached_bytes() == 0 && arena->counters.reserved.load_relaxed() == 0);
    all_back(arena);
    Arena* const of_large = make({});
    CHECK(Arena::release(take(of_large, 3 * kMiB)));
    of_large->close();   // not one return happens in it, which would give memory back as well
    CHECK(idle_in(of_large) == 0);
    all_back(of_large);
}

// The next pool gets an arena that is empty, with counts that begin at 0; never one with blocks in use.
void reuse() {
    Arena* const first = make({});
    void* const out = take(first, 3 * kMiB);
    for (int i = 0; i < 3; ++i) CHECK(Arena::release(take(first, 1000)));
    first->abandon();
    Arena* const second = make({});
    CHECK(second != first);
    CHECK(Arena::release(out));
    all_back(second);
    for (int i = 0; i < 2; ++i) {
        Arena* const again = make({});
        CHECK(again == first || again == second);
        for (std::uint32_t c = 0; c < kClassCount; ++c) {
            const ClassReading reading = again->read_class(c);
            CHECK(reading.hits == 0 && reading.misses == 0);
        }
        CHECK(again->counters.peak.load_relaxed() == 0 && dropped(again, Drop::trimmed) == 0);
        CHECK(Arena::release(take(again, 1000)));
        all_back(again);
    }
}

void pause(unsigned ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

// What no one needed goes down to the floor, which stays; what was needed in each window stays too.
void ageing() {
    Arena* arena = make({kUnlimited, kUnlimited, 8 * kMiB, 40'000'000});
    std::vector<void*> blocks = take_many(arena, 8, 2 * kMiB);
    release_all(blocks);
    for (unsigned turn = 0; turn < 400 && idle_in(arena) > 8 * kMiB; ++turn) {
        pause(10);
        CHECK(Arena::release(take(arena, 2 * kMiB)));
    }
    for (unsigned turn = 0; turn < 10; ++turn) {
        pause(10);
        CHECK(Arena::release(take(arena, 2 * kMiB)));
    }
    CHECK(about(idle_in(arena), 8 * kMiB) && about(dropped(arena, Drop::aged_out), 8 * kMiB));
    all_back(arena);
    // On a busy machine a turn may last longer than a window, and then nobody needed the blocks in one: tried again.
    for (unsigned trial = 0, punctual = 0; trial < 50 && punctual == 0; ++trial) {
        arena = make({kUnlimited, kUnlimited, 0, 40'000'000});
        punctual = 1;
        for (unsigned turn = 0; turn < 16; ++turn) {
            const auto began = std::chrono::steady_clock::now();
            blocks = take_many(arena, 4, 2 * kMiB);
            release_all(blocks);
            pause(10);
            if (std::chrono::steady_clock::now() - began > std::chrono::milliseconds(18)) punctual = 0;
        }
        CHECK(punctual == 0 || dropped(arena, Drop::aged_out) == 0);
        all_back(arena);
    }
    // Small blocks go by pages, down to the floor as well.
    arena = make({kUnlimited, kUnlimited, 8 * kMiB, 40'000'000});
    blocks = take_many(arena, 20 * 1024, 1000);
    release_all(blocks);
    for (unsigned turn = 0; turn < 400 && idle_in(arena) > 9 * kMiB; ++turn) {
        pause(10);
        CHECK(Arena::release(take(arena, 100'000)));   // its return looks at the clock
    }
    CHECK(idle_in(arena) <= 9 * kMiB && idle_in(arena) + kRegionAlign >= 8 * kMiB);
    all_back(arena);
    arena = make({kUnlimited, kUnlimited, 8 * kMiB, 40'000'000});
    blocks = take_many(arena, 4 * 1024, 1000);   // less than the floor
    release_all(blocks);
    for (unsigned turn = 0; turn < 20; ++turn) {
        pause(10);
        CHECK(Arena::release(take(arena, 100'000)));
    }
    CHECK(dropped(arena, Drop::aged_out) == 0 && idle_in(arena) >= 4 * kMiB - kRegionAlign);
    all_back(arena);
    arena = make({kUnlimited, kUnlimited, 32 * kMiB, 20'000'000});
    blocks = take_many(arena, 2, 2 * kMiB);
    release_all(blocks);
    for (unsigned turn = 0; turn < 8; ++turn) {
        pause(10);
        CHECK(Arena::release(take(arena, kMiB)));
        CHECK(Arena::release(take(arena, 3 * kMiB)));   // its return looks at the clock
    }
    CHECK(dropped(arena, Drop::aged_out) == 0 && idle_in(arena) >= 4 * kMiB);
    CHECK(idle_in(arena) <= 4 * kMiB + 4 * kRegionAlign);   // it served the other sizes too
    all_back(arena);
}

// Of two threads that request the only block at once, one is refused.
void one_block(unsigned rounds) {
    Arena* const arena = make({64 << 10});
    Together together(2);
    std::atomic<unsigned> served{0};
    auto work = [&](bool first) {
        for (unsigned i = 0; i < rounds; ++i) {
            together.wait();
            void* const mine = arena->acquire(64 << 10).address;
            if (mine != nullptr) served.fetch_add(1);
            together.wait();
            CHECK(served.load() <= 1 && arena->counters.reserved.load_relaxed() <= std::uint64_t{64 << 10});
            together.wait();
            if (mine != nullptr) CHECK(Arena::release(mine));
            together.wait();
            if (first) {
                served.store(0);
                arena->trim(0);   // the next round charges the limit anew
            }
        }
    };
    std::thread other(work, false);
    work(true);
    other.join();
    all_back(arena);
}

// While nobody releases, the peak is what is in use.
void peak(unsigned rounds) {
    Arena* const arena = make({});
    std::vector<void*> idle = take_many(arena, 2, 100'000);
    release_all(idle);
    Together together(2);
    auto work = [&](bool first) {
        for (unsigned i = 0; i < rounds; ++i) {
            if (first) {
                arena->counters.peak.store_relaxed(0);
                arena->recent.reset(0, 0);
            }
            together.wait();
            void* const mine = arena->acquire(100'000).address;
            together.wait();
            CHECK(arena->counters.peak.load_relaxed() == arena->counters.used.load_relaxed());
            together.wait();
            CHECK(Arena::release(mine));
        }
    };
    std::thread other(work, false);
    work(true);
    other.join();
    all_back(arena);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const unsigned rounds = static_cast<unsigned>(std::atoi(argv[1]));
    sizes();
    zeros();
    counts();
    retained();
    trimming();
    foreign_addresses();
    refused_by_the_system();
    closing();
    reuse();
    ageing();
    one_block(rounds);
    peak(rounds);
    huge_pages();
    huge_pages_in_holes();
    huge_pages_within_the_bound();
    huge_pages_of_zeros();
    std::printf("%u operations, 0 violations\n", 4 * rounds);
    return 0;
}
