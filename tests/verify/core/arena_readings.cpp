// The readings of an arena: `trim` returns what was predicted; peaks and bytes returned to the system are exact; each arena is
// identified by its pool. Then a thread reads all arenas while others work and pools come and go.
#include "arenas.hpp"

#include <thread>
#include <vector>

using namespace bufpool;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

std::uint64_t dropped_bytes(Arena* arena, Drop reason) {
    return arena->counters.dropped_bytes[static_cast<std::uint32_t>(reason)].load_relaxed();
}

// One block in use pins its pages; a thread's own cache pins nothing. What other threads have cached is told apart.
void survivors() {
    Arena* const arena = make({});
    std::vector<void*> blocks;
    for (unsigned i = 0; i < 1000; ++i) blocks.push_back(arena->acquire(4096).address);
    CHECK(arena->read_idle().trimmable == 0 && arena->read_idle().cached == 0);
    for (void* each : blocks) CHECK(Arena::release(each));
    CHECK(arena->cached_bytes() != 0);                             // of this thread
    CHECK(arena->read_idle().trimmable == 1000 * 4096 && arena->read_idle().cached == 0);
    std::thread([&] {
        const IdleReading elsewhere = arena->read_idle();          // there, this thread's cache is another's
        CHECK(elsewhere.cached == arena->cached_bytes());
        CHECK(elsewhere.trimmable < 1000 * 4096 && elsewhere.trimmable + elsewhere.cached <= 1000 * 4096);
        const std::uint64_t freed = arena->trim(0);                // which empties that cache too
        CHECK(freed >= elsewhere.trimmable && freed <= elsewhere.trimmable + elsewhere.cached);
    }).join();
    for (unsigned i = 0; i < 1000; ++i) blocks[i] = arena->acquire(4096).address;
    for (void* each : blocks) CHECK(Arena::release(each));
    void* const survivor = arena->acquire(4096).address;           // from this thread's cache
    const IdleReading idle = arena->read_idle();
    const std::uint64_t reserved = arena->counters.reserved.load_relaxed();
    CHECK(arena->trim(0) == idle.trimmable);
    CHECK(arena->counters.reserved.load_relaxed() == reserved - idle.trimmable);
    CHECK(arena->read_idle().trimmable == 0);                      // the rest is pinned
    CHECK(Arena::release(survivor));
    CHECK(arena->read_idle().trimmable == reserved - idle.trimmable);
    all_back(arena);
}

// Whether it is so many bytes, give or take the granules' and colours' rests.
bool about(std::uint64_t bytes, std::uint64_t expected) {
    return bytes + 2 * kRegionAlign >= expected && bytes <= expected + 2 * kRegionAlign;
}

// Peaks, and bytes returned to the system by reason; for the next pool of the arena they begin at 0.
void amounts() {
    Settings settings;
    settings.max_retained = 8 * kMiB;
    Arena* const arena = make(settings);
    const std::uint64_t serial = arena->identify().serial;
    void* const a = arena->acquire(6 * kMiB).address;
    void* const b = arena->acquire(4 * kMiB).address;
    CHECK(Arena::release(a));
    CHECK(about(arena->counters.peak_reserved.load_relaxed(), 10 * kMiB));
    CHECK(Arena::release(b));                                      // more than may be idle
    CHECK(about(dropped_bytes(arena, Drop::over_max_retained), 2 * kMiB));
    const std::uint64_t trimmable = arena->read_idle().trimmable;
    CHECK(about(trimmable, 8 * kMiB) && arena->trim(0) == trimmable);
    void* const small = arena->acquire(100).address;
    CHECK(Arena::release(small) && arena->trim(0) == 128);
    CHECK(about(dropped_bytes(arena, Drop::trimmed), 8 * kMiB));
    void* const last = arena->acquire(3 * kMiB).address;
    CHECK(about(arena->counters.peak_reserved.load_relaxed(), 10 * kMiB));
    CHECK(arena->identify().closed == 0 && arena->identify().abandoned == 0);
    arena->close();
    CHECK(arena->identify().closed == 1 && arena->identify().abandoned == 0);
    arena->abandon();
    CHECK(arena->identify().abandoned == 1 && arena->identify().serial == serial);
    CHECK(Arena::release(last) && about(dropped_bytes(arena, Drop::closed), 3 * kMiB));
    settings.limit = 1 * kMiB;
    Arena* const again = make(settings);
    CHECK(again == arena);
    const ArenaIdentity identity = again->identify();
    CHECK(identity.serial > serial && identity.limit == kMiB && identity.closed == 0 && identity.abandoned == 0);
    CHECK(again->counters.peak_reserved.load_relaxed() == 0);
    for (Drop each : {Drop::over_max_retained, Drop::trimmed, Drop::closed}) CHECK(dropped_bytes(again, each) == 0);
    CHECK(again->acquire(2 * kMiB).refusal == Refusal::limit);
    CHECK(again->counters.peak_reserved.load_relaxed() == 0);      // what was refused was never reserved
    bool listed = false;
    for (Arena* each = Arena::newest(); each != nullptr; each = each->older()) listed |= each == again;
    CHECK(listed);
    all_back(again);
}

// After acquires and releases in any order the reading is what `trim` then returns.
void predicted(unsigned rounds) {
    Arena* const arenas[] = {make({}), make({256 * kMiB})};
    constexpr std::size_t kSizes[] = {64, 1000, 5000, 40'000, 70'000, 300'000, 3 * kMiB};
    std::uint64_t state = 88172645463325252u;                      // xorshift64 (Marsaglia 2003)
    for (unsigned round = 0; round < rounds; ++round) {
        Arena* const arena = arenas[round % 2];
        std::vector<void*> blocks;
        for (unsigned i = 0; i < 60; ++i) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if (state % 3 != 0 || blocks.empty()) {
                blocks.push_back(arena->acquire(kSizes[(state >> 8) % 7]).address);
                CHECK(blocks.back() != nullptr);
            } else {
                std::swap(blocks[(state >> 8) % blocks.size()], blocks.back());
                CHECK(Arena::release(blocks.back()));
                blocks.pop_back();
            }
        }
        const IdleReading before = arena->read_idle();
        CHECK(before.cached == 0);
        CHECK(arena->trim(0) == before.trimmable);
        for (void* each : blocks) CHECK(Arena::release(each));
        CHECK(arena->read_idle().trimmable == arena->counters.reserved.load_relaxed());
    }
    for (Arena* each : arenas) all_back(each);
}

// A reader disturbs nobody, and what it reads is of some pool.
void read_at_work(unsigned rounds) {
    Arena* const shared = make({});
    std::atomic<unsigned> working{2};
    std::vector<std::thread> threads;
    threads.emplace_back([&] {
        for (unsigned i = 0; i < rounds; ++i) {
            std::vector<void*> blocks;
            for (std::size_t nbytes : {64, 3000, 70'000, 100'000}) {
                for (unsigned k = 0; k < 12; ++k) blocks.push_back(shared->acquire(nbytes).address);
            }
            for (void* each : blocks) CHECK(Arena::release(each));
            if (i % 4 == 0) shared->trim(0);
        }
        working.fetch_sub(1);
    });
    threads.emplace_back([&] {
        for (unsigned i = 0; i < rounds; ++i) {
            Arena* const own = make({i % 2 == 0 ? kUnlimited : std::uint64_t{4 * kMiB}});
            void* const block = own->acquire(5000).address;
            own->abandon();
            CHECK(Arena::release(block));
        }
        working.fetch_sub(1);
    });
    while (working.load(std::memory_order_relaxed) != 0) {
        // Nothing but the readings' own lock orders these and the work.
        for (unsigned k = 0; k < 20; ++k) CHECK(shared->read_idle().trimmable < (std::uint64_t{1} << 40));
        for (Arena* each = Arena::newest(); each != nullptr; each = each->older()) {
            const ArenaIdentity identity = each->identify();
            CHECK(identity.serial != 0 && (identity.limit == kUnlimited || identity.limit <= 256 * kMiB));
            const IdleReading idle = each->read_idle();
            CHECK(idle.trimmable < (std::uint64_t{1} << 40) && idle.cached < (std::uint64_t{1} << 40));
            CHECK(each->identify().serial >= identity.serial);
        }
    }
    for (std::thread& each : threads) each.join();
    CHECK(shared->read_idle().cached == 0);
    all_back(shared);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const unsigned rounds = static_cast<unsigned>(std::atoi(argv[1]));
    survivors();
    amounts();
    predicted(rounds);
    read_at_work(rounds);
    std::printf("%u operations, 0 violations\n", 4 * rounds);
    return 0;
}
