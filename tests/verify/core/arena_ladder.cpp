// The arena without Python: its sources compiled unchanged, also under sanitizers. Refusals, sizes and alignments, limits;
// blocks passed from one thread to another and among many; threads and arenas that end while blocks are in use. Every block
// is stamped by its owner, every checkout is counted once, and every byte is returned to the system at the end.
#include "arenas.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

using namespace bufpool;

namespace {

std::atomic<std::uint64_t> operations{0};

constexpr Upstream kHuge{Pages::huge_advised, false, false};

Arena* make(std::uint64_t limit, bool wipe = false, std::uint64_t max_retained = kUnlimited) {
    return bufpool::make(Settings{limit, max_retained, 0, 0, wipe, kHuge});
}

// `checkouts`: how many succeeded, as the clients counted them.
void all_back(Arena* arena, std::uint64_t checkouts) {
    std::uint64_t counted = 0;
    for (std::uint32_t c = 0; c < kClassCount; ++c) {
        const ClassReading reading = arena->read_class(c);
        CHECK(reading.existing == reading.idle);
        counted += reading.hits + reading.misses;
    }
    CHECK(counted == checkouts);
    CHECK(arena->counters.used.load_relaxed() == arena->cached_bytes());
    bufpool::all_back(arena);
}

// Where nothing is cached, a second release finds the block idle.
void refusals() {
    Arena* const arena = make(16 << 20);
    for (std::size_t nbytes : {1, 100, 5000, 70'000, 3 << 20}) {
        Block block = arena->acquire(nbytes);
        CHECK(block.address != nullptr && block.refusal == Refusal::none);
        CHECK(Arena::owner_of(block.address) == arena);
        CHECK(Arena::usable_size(block.address) >= nbytes);
        CHECK(Arena::release(block.address));
        CHECK(!Arena::release(block.address));
    }
    int foreign = 0;
    CHECK(!Arena::release(&foreign) && !Arena::release(nullptr) && Arena::owner_of(&foreign) == nullptr);
    CHECK(arena->acquire(17 << 20).refusal == Refusal::limit);
    CHECK(arena->acquire_aligned(kMaxBlock, 4096).refusal == Refusal::too_large);
    Block last = arena->acquire(100);
    arena->close();
    CHECK(arena->acquire(1).refusal == Refusal::closed);
    CHECK(Arena::release(last.address));
    all_back(arena, 6);
}

// A block that was handed out with an alignment is complete again afterwards, whatever address it was released by.
void alignments() {
    for (Arena* arena : {make(kUnlimited), make(64 << 20), make(64 << 20, true)}) {
        std::uint64_t checkouts = 0;
        for (std::size_t alignment = 64; alignment <= kHugePage; alignment *= 2) {
            for (std::size_t nbytes : {1, 1000, 40'000}) {
                Block moved = arena->acquire_aligned(nbytes, alignment);
                CHECK(moved.address != nullptr && reinterpret_cast<std::uintptr_t>(moved.address) % alignment == 0);
                const std::size_t usable = Arena::usable_size(moved.address);
                CHECK(usable >= nbytes);
                std::memset(moved.address, 0xAB, usable);
                CHECK(Arena::release(moved.address));
                Block plain = arena->acquire(nbytes);
                CHECK(Arena::usable_size(plain.address) >= nbytes);
                if (arena->config.wipe) CHECK(*static_cast<unsigned char*>(plain.address) == 0);
                std::memset(plain.address, 0xCD, Arena::usable_size(plain.address));
                CHECK(Arena::release(plain.address));
                checkouts += 2;
            }
        }
        all_back(arena, checkouts);
    }
}

struct Held {
    unsigned char* address;
    std::size_t nbytes;
    unsigned char stamp;
};

void stamp(const Held& held) {
    held.address[0] = held.address[held.nbytes - 1] = held.address[held.nbytes / 2] = held.stamp;
}
void look(const Held& held) {
    CHECK(held.address[0] == held.stamp && held.address[held.nbytes - 1] == held.stamp);
    CHECK(held.address[held.nbytes / 2] == held.stamp);
}

// Blocks pass from thread to thread through slots: whoever takes one out looks at its stamp and releases it.
void churn(Arena* arena, unsigned rounds) {
    constexpr unsigned kThreads = 4, kSlots = 16;
    std::atomic<Held*> slots[kSlots]{};
    std::atomic<std::uint64_t> checkouts{0};
    auto work = [&](unsigned seed) {
        std::minstd_rand random(seed + 1);
        std::vector<Held*> mine;
        std::uint64_t taken = 0;
        for (unsigned i = 0; i < rounds; ++i) {
            const unsigned dice = random() % 16;
            if (dice < 8) {
                const std::size_t nbytes = std::size_t{1} << (random() % (dice == 0 ? 22 : 14));
                Block block = dice == 1 ? arena->acquire_aligned(nbytes, std::size_t{64} << (random() % 8))
                                        : arena->acquire(nbytes);
                if (block.address == nullptr) {
                    CHECK(block.refusal == Refusal::limit);
                } else {
                    mine.push_back(new Held{static_cast<unsigned char*>(block.address), nbytes,
                                            static_cast<unsigned char>(random())});
                    stamp(*mine.back());
                    ++taken;
                }
            } else if (!mine.empty()) {
                Held* held = mine[random() % mine.size()];
                mine.erase(std::find(mine.begin(), mine.end(), held));
                if (dice < 12) held = slots[random() % kSlots].exchange(held, std::memory_order_acq_rel);
                if (held != nullptr) {
                    look(*held);
                    CHECK(Arena::release(held->address));
                    delete held;
                }
            } else if (dice == 15) {
                arena->trim(random() % (1 << 20));
            }
        }
        for (Held* held : mine) {
            look(*held);
            CHECK(Arena::release(held->address));
            delete held;
        }
        operations.fetch_add(rounds, std::memory_order_relaxed);
        checkouts.fetch_add(taken, std::memory_order_relaxed);
    };
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; ++t) threads.emplace_back(work, t);
    for (std::thread& each : threads) each.join();
    for (std::atomic<Held*>& slot : slots) {
        Held* const held = slot.load(std::memory_order_acquire);
        if (held == nullptr) continue;
        look(*held);
        CHECK(Arena::release(held->address));
        delete held;
    }
    if (arena->config.limit != kUnlimited) CHECK(arena->counters.peak.load_relaxed() <= arena->config.limit);
    all_back(arena, checkouts.load());
}

// One thread acquires, another releases, in order.
void one_to_one(Arena* arena, unsigned rounds) {
    constexpr unsigned kSlots = 64;
    std::atomic<unsigned*> slots[kSlots]{};
    auto produce = [&] {
        for (unsigned i = 0; i < rounds; ++i) {
            unsigned* const number = static_cast<unsigned*>(arena->acquire(200).address);
            CHECK(number != nullptr);
            *number = i;
            while (slots[i % kSlots].load(std::memory_order_acquire) != nullptr) cpu_yield();
            slots[i % kSlots].store(number, std::memory_order_release);
        }
    };
    auto consume = [&] {
        for (unsigned i = 0; i < rounds; ++i) {
            unsigned* number;
            while ((number = slots[i % kSlots].load(std::memory_order_acquire)) == nullptr) cpu_yield();
            slots[i % kSlots].store(nullptr, std::memory_order_release);
            CHECK(*number == i);
            CHECK(Arena::release(number));
        }
    };
    std::thread producer(produce), consumer(consume);
    producer.join();
    consumer.join();
    operations.fetch_add(2 * rounds, std::memory_order_relaxed);
    CHECK(arena->counters.peak.load_relaxed() <= 256 * (kSlots + 2 + 2 * kBinBlocks));   // no block was left behind
    all_back(arena, rounds);
}

// Arenas are closed and threads end, with blocks still out and others cached; what is out is released afterwards, by
// other threads. Nothing leaks, and the same arenas are reused.
void drops(unsigned rounds) {
    for (unsigned round = 0; round < rounds; ++round) {
        Arena* const arena = make(round % 3 == 0 ? 24 << 20 : kUnlimited);
        std::vector<void*> out(60);
        std::thread taker([&] {
            for (std::size_t i = 0; i < out.size(); ++i) out[i] = arena->acquire(std::size_t{64} << (i % 12)).address;
            for (std::size_t i = 0; i < out.size(); i += 3) CHECK(Arena::release(out[i]));
        });
        taker.join();
        CHECK(arena->cached_bytes() == 0);            // the thread's end gave it back
        std::thread closer([&] { arena->abandon(); });
        std::thread releaser([&] {
            for (std::size_t i = 1; i < out.size(); i += 3) CHECK(Arena::release(out[i]));
        });
        for (std::size_t i = 2; i < out.size(); i += 3) CHECK(Arena::release(out[i]));
        closer.join();
        releaser.join();
        CHECK(arena->counters.used.load_relaxed() == arena->cached_bytes());
        operations.fetch_add(2 * out.size(), std::memory_order_relaxed);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const unsigned rounds = static_cast<unsigned>(std::atoi(argv[1]));
    refusals();
    alignments();
    churn(make(kUnlimited), rounds);
    churn(make(24 << 20), rounds);
    churn(make(kUnlimited, false, 1 << 20), rounds);
    churn(make(kUnlimited, true), rounds);
    one_to_one(make(kUnlimited), rounds);
    one_to_one(make(24 << 20), rounds);
    drops(rounds / 120);
    std::printf("%llu operations, 0 violations\n", static_cast<unsigned long long>(operations.load()));
    return 0;
}
