// The state of an object pool: the table against a map, the rules of waiting one by one, sieve and sizes, then many threads
// that take, wait, give up, return and discard. Whoever has an object writes to it, so that two owners are a race; each
// reference that the queue has is counted.
#include "check.hpp"
#include "bufpool/objects/core/object_pool.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <unordered_map>
#include <vector>

using bufpool::Answer;
using bufpool::kNone;
using bufpool::kOwned;
using bufpool::kHandoffDelay;
using bufpool::kUntilEmpty;
using bufpool::ObjectPool;
using bufpool::ObjectTable;
using bufpool::Put;
using bufpool::Sieve;
using bufpool::Standing;
using bufpool::Waiter;

constexpr std::uint32_t kMany = 1u << 30;

static std::atomic<long> kept{0};
static void keep(void*) { kept.fetch_add(1, std::memory_order_relaxed); }

struct Thing {
    alignas(16) std::uint64_t payload = 0;
};

using Pool = std::unique_ptr<ObjectPool, void (*)(ObjectPool*)>;

static Pool make(std::uint32_t most, std::uint32_t most_waiting = kMany, bool fair = false, bool fifo = false) {
    Pool pool(ObjectPool::make(), ObjectPool::destroy);
    CHECK(pool != nullptr);
    pool->set_up(most, most_waiting, fair, fifo, keep);
    return pool;
}

static std::uint32_t install(ObjectPool& pool, Thing& thing) {
    CHECK(pool.ask_place(kMany));
    const std::uint32_t index = pool.install(&thing, false);
    CHECK(index < kOwned);
    pool.table[index].expires = ~std::uint64_t{0};
    pool.table[index].drained = 0;
    return index;
}

static void table(std::uint32_t rounds) {
    ObjectTable objects;
    std::vector<Thing> things(1000);
    std::unordered_map<const void*, std::uint32_t> model;
    std::uint32_t random = 12345;
    for (std::uint32_t round = 0; round < rounds; ++round) {
        random = random * 1664525u + 1013904223u;
        Thing& thing = things[(random >> 8) % (round % 2000 < 1000 ? 1000 : 40)];
        const auto known = model.find(&thing);
        if (known == model.end()) {
            CHECK(objects.find(&thing) == kNone);
            const std::uint32_t index = objects.add(&thing);
            CHECK(index < kOwned && objects[index].address == &thing);
            model[&thing] = index;
        } else {
            CHECK(objects.find(&thing) == known->second);
            objects.remove(known->second);
            model.erase(known);
        }
        CHECK(objects.known() == model.size());
    }
    for (const auto& [thing, index] : model) CHECK(objects.find(thing) == index);
    CHECK(objects.used() <= 1000);
}

static void checkouts_are_told_apart() {
    Pool pool = make(1);
    Thing thing;
    std::uint32_t index = install(*pool, thing);
    auto& node = pool->table[index];
    const std::uint64_t first = node.hand_out(Standing::lent);
    CHECK(node.standing() == Standing::lent && node.take_back(first) && !node.take_back(first));
    const std::uint64_t second = node.hand_out(Standing::lent);
    CHECK(second != first && !node.take_back(first) && node.take_back(second));
    CHECK(pool->put(index) == Put::kept && pool->idle() == 1 && node.standing() == Standing::idle);
    CHECK(pool->take() == index && pool->reused() == 1 && pool->peak() == 1);
    CHECK(pool->put(index) == Put::kept);
}

static void waiting() {
    Pool pool = make(1);
    Thing thing;
    std::uint32_t index = install(*pool, thing), got = kNone;
    Waiter a, b, c;
    a.owner = &a;
    b.owner = &b;
    a.kept = b.kept = true;
    CHECK(pool->ask(a, 1000, true, kMany, got) == Answer::queued && pool->ask(b, 1000, true, kMany, got) == Answer::queued);
    CHECK(pool->waiting() == 2 && pool->serve(1000) == nullptr);
    // Before their patience is over the first is woken, once, and a newcomer may be quicker.
    const long references = kept.load();
    CHECK(pool->put(index) == Put::serve && pool->serve(2000) == &a && kept.load() == references + 1);
    CHECK(pool->serve(2000) == nullptr && a.state == Waiter::woken);
    CHECK(pool->ask(c, 2000, false, kMany, got) == Answer::found && got == index);
    CHECK(pool->ask(a, 3000, true, kMany, got) == Answer::queued && a.state == Waiter::queued);
    // After it a newcomer stands back, and the object is given to the first, without its asking.
    const std::uint64_t later = 1000 + kHandoffDelay + 1;
    CHECK(pool->put(index) == Put::serve && pool->ask(c, later, false, kMany, got) == Answer::full);
    CHECK(pool->serve(later) == &a && a.state == Waiter::given && !a.kept && pool->serve(later) == nullptr);
    CHECK(pool->ask(a, later, true, kMany, got) == Answer::found && got == index && a.state == Waiter::off);
    // One that leaves in the moment in which it is given one says so.
    CHECK(pool->put(index) == Put::serve && pool->serve(later) == &b);
    CHECK(pool->withdraw(b, got) && got == index && !pool->needs_attention());
    // One that is woken and leaves makes way for the next to be woken.
    a.since = b.since = 0;
    a.kept = b.kept = true;
    CHECK(pool->ask(a, 0, true, kMany, got) == Answer::queued && pool->ask(b, 0, true, kMany, got) == Answer::queued);
    CHECK(pool->put(index) == Put::serve && pool->serve(0) == &a && !pool->withdraw(a, got) && pool->serve(0) == &b);
    CHECK(pool->ask(b, 0, true, kMany, got) == Answer::found && got == index);
    // One that has waited and was given what was no good is first again.
    a.kept = b.kept = true;
    CHECK(pool->ask(a, 1000, true, kMany, got) == Answer::queued && pool->put(index) == Put::serve);
    CHECK(pool->serve(later) == &a && pool->ask(a, later, true, kMany, got) == Answer::found && a.since == 1000);
    b.since = 0;
    CHECK(pool->ask(b, 2000, true, kMany, got) == Answer::queued && pool->ask(a, later, true, kMany, got) == Answer::queued);
    CHECK(pool->put(index) == Put::serve && pool->serve(later) == &a && pool->ask(a, later, true, kMany, got) == Answer::found);
    CHECK(!pool->withdraw(b, got) && b.since == 0 && !pool->needs_attention());
    // One that leaves earlier has nothing.
    b.kept = true;
    CHECK(pool->ask(b, 1000, true, kMany, got) == Answer::queued && !pool->withdraw(b, got) && b.kept);
    CHECK(pool->waiting() == 0 && pool->put(index) == Put::kept);
}

static void fairness_and_bounds() {
    Pool pool = make(1, 1, true);
    Thing thing;
    std::uint32_t index = install(*pool, thing), got = kNone;
    Waiter a, b;
    a.kept = true;
    CHECK(pool->ask(a, 0, true, kMany, got) == Answer::queued && pool->ask(b, 0, true, kMany, got) == Answer::too_many);
    CHECK(pool->put(index) == Put::serve && pool->ask(b, 0, false, kMany, got) == Answer::full);
    CHECK(pool->serve(0) == &a && pool->ask(a, 0, true, kMany, got) == Answer::found);
    // A place that comes free wakes whoever waits for an object.
    a.kept = true;
    CHECK(pool->ask(a, 0, true, kMany, got) == Answer::queued);
    CHECK(!pool->take_out(index) && pool->serve(0) == nullptr);
    pool->give_up_place(false);
    CHECK(pool->serve(0) == &a && a.state == Waiter::woken && pool->ask(a, 0, true, 0, got) == Answer::queued);
    CHECK(pool->ask(a, 0, true, 1, got) == Answer::room && pool->size() == 1);
    // Closing tells them all.
    b.kept = true;
    CHECK(pool->ask(b, 0, true, kMany, got) == Answer::queued);
    pool->close();
    CHECK(pool->serve(0) == &b && b.state == Waiter::refused && pool->ask(b, 0, true, kMany, got) == Answer::closed);
    CHECK(!pool->watch(a, kUntilEmpty));
    pool->give_up_place(false);
    CHECK(pool->serve(0) == &a && pool->watch(a, kUntilEmpty) && pool->size() == 0 && pool->serve(0) == nullptr);
}

static void sizes_and_sieve() {
    Pool pool = make(4);
    Thing things[4];
    std::uint32_t index[4], out[4];
    for (int i = 0; i < 4; ++i) {
        index[i] = install(*pool, things[i]);
        pool->table[index[i]].since.store_relaxed(10 * i);
    }
    for (int i = 0; i < 4; ++i) CHECK(pool->put(index[i]) == Put::kept);
    CHECK(pool->install(&things[0], true) == kOwned && pool->existing() == 4 && pool->idle() == 4);
    // The oldest two of three stale ones; the others keep their order.
    CHECK(pool->sift(Sieve{5, 25, 2, 0, 0}, out, 4) == 2 && out[0] == index[1] && out[1] == index[0] && pool->idle() == 2);
    CHECK(pool->put_back_unused(index[0], false) == Put::kept);
    CHECK(pool->take() == index[3] && pool->take() == index[2] && pool->take() == index[0] && pool->take() == kNone);
    for (int i : {0, 1, 2, 3}) CHECK(pool->put(index[i]) == Put::kept);
    // Drained: all, as many as there is room for.
    CHECK(pool->sift(Sieve{5, 0, 0, 0, 1}, out, 3) == 3 && pool->idle() == 1 && out[0] == index[3]);
    // Smaller: what comes back is surplus until it fits.
    pool->resize(2);
    CHECK(pool->put(index[3]) == Put::surplus && pool->put_back_unused(index[2], false) == Put::surplus && pool->size() == 2);
    CHECK(pool->put(index[1]) == Put::kept && pool->extra() == 2 && pool->take_out(index[3]) && pool->take_out(index[2]));
    pool->give_up_place(true);
    pool->give_up_place(true);
    CHECK(pool->extra() == 0 && pool->existing() == 2 && !pool->needs_attention());
}

static void first_in_first_out() {
    Pool pool = make(3, kMany, false, true);
    Thing things[3];
    std::uint32_t index[3], got = kNone;
    Waiter me;
    for (int i = 0; i < 3; ++i) index[i] = install(*pool, things[i]);
    for (int i = 0; i < 3; ++i) CHECK(pool->put(index[i]) == Put::kept);
    CHECK(pool->take() == kNone && pool->idle() == 3);
    for (int i = 0; i < 3; ++i) {
        CHECK(pool->ask(me, 0, false, kMany, got) == Answer::found && got == index[i]);
        CHECK(pool->put(got) == Put::kept);
    }
    CHECK(pool->reused() == 3 && pool->peak() == 1);
}

// A client as the layer above makes it: something that sleeps, and references to it.
struct Client {
    Waiter waiter;
    std::atomic<bool> signalled{false};
    std::atomic<long> references{1};
};

static void count_reference(void* owner) { static_cast<Client*>(owner)->references.fetch_add(1, std::memory_order_relaxed); }

static void rouse(ObjectPool& pool, std::uint64_t now) {
    while (pool.needs_attention()) {
        Waiter* const waiter = pool.serve(now);
        if (waiter == nullptr) return;
        auto* const client = static_cast<Client*>(waiter->owner);
        client->signalled.store(true, std::memory_order_relaxed);
        client->references.fetch_sub(1, std::memory_order_relaxed);
    }
}

static void many_threads(unsigned threads, unsigned rounds, bool fair, bool fifo) {
    constexpr std::uint32_t kObjects = 2;
    Pool pool(ObjectPool::make(), ObjectPool::destroy);
    pool->set_up(kObjects, kMany, fair, fifo, count_reference);
    std::vector<Thing> things(kObjects + threads);      // a thread has a spare one, for a place that it is given
    std::atomic<std::uint64_t> written{0};
    std::atomic<std::uint64_t> clock{0};
    auto work = [&](unsigned me) {
        std::uint32_t random = 77 * me + 1, index = kNone;
        std::uint64_t mine = 0;
        Thing* spare = &things[kObjects + me];
        Client client;
        client.waiter.owner = &client;
        for (unsigned i = 0; i < rounds; ++i) {
            random = random * 1664525u + 1013904223u;
            index = pool->take();
            client.waiter.since = 0;
            bool queued = false;
            while (index == kNone) {
                const bool wait = (random >> 20) % 16 != 0;
                if (wait && !queued) {
                    client.references.fetch_add(1, std::memory_order_relaxed);
                    client.waiter.kept = true;
                }
                const std::uint64_t now = clock.fetch_add(kHandoffDelay / 16, std::memory_order_relaxed);
                const Answer answer = pool->ask(client.waiter, now, wait, kMany, index);
                queued = answer == Answer::queued;
                if (!queued && client.waiter.kept) {
                    client.waiter.kept = false;
                    client.references.fetch_sub(1, std::memory_order_relaxed);
                }
                rouse(*pool, now);
                if (answer == Answer::room && spare == nullptr) {
                    pool->give_up_place(false);
                    rouse(*pool, now);
                    break;
                }
                if (answer == Answer::room) {
                    index = pool->install(spare, false);
                    CHECK(index < kOwned);
                    pool->table[index].expires = ~std::uint64_t{0};
                    pool->table[index].drained = 0;
                    spare = nullptr;
                } else if (answer == Answer::full) {
                    break;
                }
                for (unsigned spins = 0; queued && !client.signalled.load(std::memory_order_relaxed); ++spins) {
                    bufpool::cpu_yield();
                    if (spins < 50 || (random >> 8) % 4 != 0) continue;
                    queued = false;                      // its time is over
                    if (!pool->withdraw(client.waiter, index)) index = kNone;
                    if (client.waiter.kept) {
                        client.waiter.kept = false;
                        client.references.fetch_sub(1, std::memory_order_relaxed);
                    }
                    rouse(*pool, now);
                    if (index == kNone) index = kOwned;  // nothing, and no more asking
                }
                client.signalled.store(false, std::memory_order_relaxed);
            }
            // Who woke us may still have its reference, and signals before it drops it.
            while (client.references.load(std::memory_order_relaxed) != 1) bufpool::cpu_yield();
            client.signalled.store(false, std::memory_order_relaxed);
            if (index >= kOwned) continue;
            auto& node = pool->table[index];
            CHECK(node.standing() != Standing::spare);
            ++static_cast<Thing*>(node.address)->payload;
            ++mine;
            const std::uint64_t checkout = node.hand_out(Standing::lent);
            CHECK(node.take_back(checkout) && !node.take_back(checkout));
            if (spare == nullptr && (random >> 12) % 64 == 0) {
                spare = static_cast<Thing*>(node.address);
                CHECK(!pool->take_out(index));
                pool->give_up_place(false);
            } else {
                CHECK(pool->put(index) <= Put::serve);
            }
            rouse(*pool, clock.load(std::memory_order_relaxed));
        }
        written.fetch_add(mine, std::memory_order_relaxed);
    };
    std::vector<std::thread> all;
    for (unsigned t = 0; t < threads; ++t) all.emplace_back(work, t);
    for (auto& thread : all) thread.join();
    CHECK(pool->waiting() == 0 && !pool->needs_attention() && pool->idle() == pool->size() && pool->size() <= kObjects);
    std::uint64_t payloads = 0;
    for (const Thing& thing : things) payloads += thing.payload;
    CHECK(payloads == written.load() && pool->existing() == pool->size());
}

// Objects come back while the pool is closed: each is told to be closed, by its client or by the one who closes.
static void closing(unsigned rounds) {
    constexpr std::uint32_t kObjects = 3;
    for (unsigned round = 0; round < rounds / 100 + 1; ++round) {
        Pool pool = make(kObjects);
        Thing things[kObjects];
        std::uint32_t index[kObjects];
        for (std::uint32_t i = 0; i < kObjects; ++i) index[i] = install(*pool, things[i]);
        std::atomic<std::uint32_t> refused{0};
        std::atomic<unsigned> ready{0};
        std::vector<std::thread> all;
        for (std::uint32_t i = 0; i < kObjects; ++i) {
            all.emplace_back([&, i] {
                std::uint32_t mine = index[i];
                ready.fetch_add(1, std::memory_order_relaxed);
                while (ready.load(std::memory_order_relaxed) <= kObjects) bufpool::cpu_relax();
                if (pool->put(mine) == Put::closed) {
                    CHECK(pool->table[mine].standing() == Standing::busy);
                    refused.fetch_add(1, std::memory_order_relaxed);
                    CHECK(!pool->take_out(mine));
                    pool->give_up_place(false);
                }
            });
        }
        while (ready.load(std::memory_order_relaxed) < kObjects) bufpool::cpu_relax();
        ready.fetch_add(1, std::memory_order_relaxed);
        pool->close();
        std::uint32_t swept[kObjects];
        const std::uint32_t found = pool->sift(Sieve{~std::uint64_t{0}, 0, 0, 0, 0}, swept, kObjects);
        for (auto& thread : all) thread.join();
        CHECK(found + refused.load() == kObjects && pool->idle() == 0);
    }
}

int main(int argc, char** argv) {
    const unsigned rounds = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 100000;
    table(rounds);
    checkouts_are_told_apart();
    waiting();
    fairness_and_bounds();
    sizes_and_sieve();
    first_in_first_out();
    closing(rounds);
    many_threads(2, rounds, false, false);
    many_threads(4, rounds / 2, false, false);
    many_threads(4, rounds / 2, true, false);
    many_threads(3, rounds / 3, false, true);
    std::printf("%u operations, 0 violations\n", rounds + 2 * rounds + 2 * rounds + 2 * rounds + 3 * (rounds / 3));
}
