// How checkout and return scale with threads in the core, without Python: one line of figures a call.
//
//   core_scaling CONTENDER PATTERN THREADS TURNS
//
// prints the nanoseconds of a turn; each thread does TURNS of them. A turn acquires one block and releases one, and does
// not touch the block's memory. Patterns: "same": a thread releases its own blocks. "next": each thread releases what the
// previous one acquired; batches of 32 go round. "random": each block goes into a random slot, and the block that was there
// is released.
#include "bufpool/memory/core/arena.hpp"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

using namespace bufpool;

namespace {

// --- contenders ---

constexpr std::size_t kSmall = 1024, kLarge = std::size_t{1} << 20;   // bytes a block

// The arena as a pool makes it.
template <std::size_t nbytes, std::uint64_t limit>
class Pool {
  public:
    void* acquire() noexcept { return arena_->acquire(nbytes).address; }
    void release(void* block) noexcept { Arena::release(block); }

  private:
    static Arena* make() {
        ArenaConfig config{};
        config.limit = limit;
        config.max_retained = kUnlimited;
        config.min_retained = 16 << 20;
        config.max_idle_ns = 30'000'000'000;
        config.alignment = kGranule;
        config.upstream = Upstream{Pages::huge_advised, false, false};
        return Arena::create(config);
    }
    Arena* arena_ = make();
};

constexpr std::uint32_t kReady = 4096;   // blocks, for those that keep a fixed number

// The tagged stack alone, with nothing in front of it and nothing counted.
class Stack {
  public:
    Stack() {
        for (std::uint32_t i = 0; i < kReady; ++i) list_.push(nodes_, i);
    }
    void* acquire() noexcept {
        std::uint32_t left;
        const std::uint32_t index = list_.pop(nodes_, left);
        return index == kNone ? nullptr : &nodes_[index];
    }
    void release(void* block) noexcept { list_.push(nodes_, static_cast<std::uint32_t>(static_cast<Node*>(block) - nodes_)); }

  private:
    struct Node {
        Atomic<std::uint32_t> next, depth;
        char* block;
    };
    FreeList list_;
    Node nodes_[kReady];
};

// What many write by hand.
class Locked {
  public:
    Locked() {
        for (std::uint32_t i = 0; i < kReady; ++i) blocks_.push_back(&memory_[i]);
    }
    void* acquire() {
        const std::lock_guard<std::mutex> guard(mutex_);
        if (blocks_.empty()) return nullptr;
        void* const block = blocks_.back();
        blocks_.pop_back();
        return block;
    }
    void release(void* block) {
        const std::lock_guard<std::mutex> guard(mutex_);
        blocks_.push_back(block);
    }

  private:
    std::mutex mutex_;
    std::vector<void*> blocks_;
    char memory_[kReady];
};

struct Malloc {
    void* acquire() noexcept {
        void* const block = std::malloc(kSmall);
        keep(block);
        return block;
    }
    void release(void* block) noexcept { std::free(block); }
    static void keep(void* block) noexcept { __asm__ __volatile__("" : : "r"(block) : "memory"); }   // a pair may vanish else
};

// No pool at all: what a pattern's own loop and transport take.
struct Nothing {
    char memory[kGranule];
    void* acquire() noexcept { return memory; }
    void release(void* block) noexcept { Malloc::keep(block); }
};

// --- what blocks pass through ---

constexpr std::uint64_t kBatch = 32;
constexpr std::uint64_t kAhead = 8;   // batches that each thread may be ahead of the next

// Batches from one thread to one other. Each end keeps a copy of the other's count.
struct Channel {
    static constexpr std::uint64_t kBatches = 16;
    alignas(kNoSharing) std::atomic<std::uint64_t> put{0};
    std::uint64_t seen_got = 0;
    alignas(kNoSharing) std::atomic<std::uint64_t> got{0};
    std::uint64_t seen_put = 0;
    alignas(kNoSharing) void* blocks[kBatches][kBatch];

    void** room() {   // for the next batch; null: the ring is full
        const std::uint64_t at = put.load(std::memory_order_relaxed);
        if (at - seen_got == kBatches && at - (seen_got = got.load(std::memory_order_acquire)) == kBatches) return nullptr;
        return blocks[at % kBatches];
    }
    void send() { put.store(put.load(std::memory_order_relaxed) + 1, std::memory_order_release); }
    void** batch() {   // the oldest; null: there is none
        const std::uint64_t at = got.load(std::memory_order_relaxed);
        if (at == seen_put && at == (seen_put = put.load(std::memory_order_acquire))) return nullptr;
        return blocks[at % kBatches];
    }
    void done() { got.store(got.load(std::memory_order_relaxed) + 1, std::memory_order_release); }
};

struct alignas(kNoSharing) Slot {
    std::atomic<void*> block{nullptr};
};

// --- patterns ---

// Waits for another thread, which on a busy machine may not be running.
class Patience {
  public:
    void wait() {
        if (++tries_ % 256 == 0) cpu_yield();
        else cpu_relax();
    }

  private:
    unsigned tries_ = 0;
};

template <class Contender>
void fill(Contender& contender, void** batch) {
    for (std::uint64_t i = 0; i < kBatch; ++i) {
        for (Patience patience; (batch[i] = contender.acquire()) == nullptr;) patience.wait();
    }
}
template <class Contender>
void drain(Contender& contender, void** batch) {
    for (std::uint64_t i = 0; i < kBatch; ++i) contender.release(batch[i]);
}

// Seconds until the last of the threads was done.
template <class Work>
double timed(unsigned threads, Work work) {
    std::atomic<unsigned> ready{0};
    std::atomic<bool> go{false};
    std::vector<double> took(threads);
    std::vector<std::thread> workers;
    for (unsigned t = 0; t < threads; ++t) {
        workers.emplace_back([&, t] {
            ready.fetch_add(1);
            while (!go.load()) cpu_relax();
            const auto started = std::chrono::steady_clock::now();
            work(t);
            took[t] = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
        });
    }
    while (ready.load() != threads) cpu_yield();
    go.store(true);
    for (std::thread& each : workers) each.join();
    double most = 0;
    for (const double each : took) most = each > most ? each : most;
    return most;
}

template <class Contender>
double same(Contender& contender, unsigned threads, std::uint64_t turns) {
    return timed(threads, [&](unsigned) {
        for (std::uint64_t i = 0; i < turns; ++i) {
            void* const block = contender.acquire();
            if (block != nullptr) contender.release(block);
        }
    });
}

template <class Contender>
void send(Contender& contender, Channel& channel) {
    void** batch;
    for (Patience patience; (batch = channel.room()) == nullptr;) patience.wait();
    fill(contender, batch);
    channel.send();
}
template <class Contender>
void receive(Contender& contender, Channel& channel) {
    void** batch;
    for (Patience patience; (batch = channel.batch()) == nullptr;) patience.wait();
    drain(contender, batch);
    channel.done();
}

template <class Contender>
double next(Contender& contender, unsigned threads, std::uint64_t turns) {
    std::vector<Channel> ring(threads);
    for (Channel& each : ring) {
        for (std::uint64_t i = 0; i < kAhead; ++i) send(contender, each);
    }
    const double took = timed(threads, [&](unsigned t) {
        for (std::uint64_t i = 0; i < turns / kBatch; ++i) {
            send(contender, ring[(t + 1) % threads]);
            receive(contender, ring[t]);
        }
    });
    for (Channel& each : ring) {
        for (std::uint64_t i = 0; i < kAhead; ++i) receive(contender, each);
    }
    return took;
}

template <class Contender>
double random(Contender& contender, unsigned threads, std::uint64_t turns) {
    constexpr unsigned kSlots = 1024;
    const std::unique_ptr<Slot[]> slots(new Slot[kSlots]);
    const double took = timed(threads, [&](unsigned t) {
        std::uint32_t dice = 2463534242u + 977 * t;
        for (std::uint64_t i = 0; i < turns; ++i) {
            dice ^= dice << 13;
            dice ^= dice >> 17;
            dice ^= dice << 5;
            void* block = contender.acquire();
            if (block != nullptr) block = slots[dice % kSlots].block.exchange(block, std::memory_order_acq_rel);
            if (block != nullptr) contender.release(block);
        }
    });
    for (unsigned i = 0; i < kSlots; ++i) {
        if (void* const block = slots[i].block.load()) contender.release(block);
    }
    return took;
}

template <class Contender>
int measure(const char* pattern, unsigned threads, std::uint64_t turns) {
    static Contender contender;
    double (*const run)(Contender&, unsigned, std::uint64_t) =
        std::strcmp(pattern, "same") == 0 ? same<Contender>
        : std::strcmp(pattern, "next") == 0 ? next<Contender> : random<Contender>;
    run(contender, threads, turns / 10);
    std::printf("%.3f\n", run(contender, threads, turns) / static_cast<double>(turns) * 1e9);
    return 0;
}

struct Named {
    const char* name;
    int (*measure)(const char*, unsigned, std::uint64_t);
};
constexpr Named kContenders[] = {
    {"pool", measure<Pool<kSmall, kUnlimited>>},
    {"pool, 1 MiB", measure<Pool<kLarge, kUnlimited>>},
    {"pool with a limit", measure<Pool<kSmall, std::uint64_t{1} << 30>>},
    {"stack alone", measure<Stack>},
    {"list, mutex", measure<Locked>},
    {"malloc", measure<Malloc>},
    {"nothing", measure<Nothing>},
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) return 2;
    for (const Named& each : kContenders) {
        if (std::strcmp(each.name, argv[1]) == 0) {
            return each.measure(argv[2], static_cast<unsigned>(std::atoi(argv[3])),
                                std::strtoull(argv[4], nullptr, 10) / kBatch * kBatch);
        }
    }
    return 2;
}
