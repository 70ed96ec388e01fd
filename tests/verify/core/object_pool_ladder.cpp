// The state of an object pool: the table against a map, the rules of waiting one by one, filters and sizes, then many
// threads that acquire, wait, time out, release and remove. The thread that has an object writes to it, so that two
// owners are a race. Each reference that the queue has is counted.
#include "check.hpp"
#include "bufpool/objects/core/object_pool.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <unordered_map>
#include <vector>

using bufpool::AcquireResult;
using bufpool::kNone;
using bufpool::kOwned;
using bufpool::kHandoffDelay;
using bufpool::kUntilClosed;
using bufpool::kUntilEmpty;
using bufpool::ObjectPool;
using bufpool::ObjectTable;
using bufpool::ReleaseResult;
using bufpool::SlotUse;
using bufpool::Terms;
using bufpool::IdleFilter;
using bufpool::ObjectState;
using bufpool::Waiter;

constexpr std::uint32_t kMany = 1u << 30;

static std::atomic<long> added{0};
static void add_reference(void*) { added.fetch_add(1, std::memory_order_relaxed); }

struct Thing {
    alignas(16) std::uint64_t payload = 0;
};

using Pool = std::unique_ptr<ObjectPool, void (*)(ObjectPool*)>;

static Pool make(std::uint32_t max_size, std::uint32_t max_waiting = kMany, bool fair = false, bool fifo = false) {
    Pool pool(ObjectPool::make(), ObjectPool::destroy);
    CHECK(pool != nullptr);
    pool->set_up(max_size, max_waiting, fair, fifo, add_reference);
    return pool;
}

// A client that creates its objects itself.
static Terms creating(bool may_wait, std::uint32_t creation_limit) {
    return Terms{may_wait, false, SlotUse::create, creation_limit};
}

static std::uint32_t install(ObjectPool& pool, Thing& thing) {
    CHECK(pool.acquire_slot(kMany, kMany));
    const std::uint32_t index = pool.install(&thing, false, false);
    CHECK(index < kOwned);
    pool.table[index].expires = ~std::uint64_t{0};
    pool.table[index].drain_count = 0;
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

static void checkouts_are_distinct() {
    Pool pool = make(1);
    Thing thing;
    std::uint32_t index = install(*pool, thing);
    auto& node = pool->table[index];
    const std::uint64_t first = node.hand_out(ObjectState::leased);
    CHECK(node.state() == ObjectState::leased && node.take_back(first) && !node.take_back(first));
    const std::uint64_t second = node.hand_out(ObjectState::leased);
    CHECK(second != first && !node.take_back(first) && node.take_back(second));
    CHECK(pool->release(index) == ReleaseResult::kept && pool->idle() == 1 && node.state() == ObjectState::idle);
    CHECK(pool->try_acquire() == index && pool->reused() == 1 && pool->peak() == 1);
    CHECK(pool->release(index) == ReleaseResult::kept);
}

static void waiting() {
    Pool pool = make(1);
    Thing thing;
    std::uint32_t index = install(*pool, thing), got = kNone;
    Waiter a, b, c;
    a.owner = &a;
    b.owner = &b;
    a.kept = b.kept = true;
    CHECK(pool->acquire(a, 1000, creating(true, kMany), got) == AcquireResult::queued);
    CHECK(pool->acquire(b, 1000, creating(true, kMany), got) == AcquireResult::queued);
    CHECK(pool->waiting() == 2 && pool->next_to_wake(1000) == nullptr);
    // Until the delay is over the first waiter is woken, once, and a newcomer may be quicker.
    const long references = added.load();
    CHECK(pool->release(index) == ReleaseResult::wake && pool->next_to_wake(2000) == &a);
    CHECK(added.load() == references + 1);
    CHECK(pool->next_to_wake(2000) == nullptr && a.state == Waiter::woken);
    CHECK(pool->acquire(c, 2000, creating(false, kMany), got) == AcquireResult::found && got == index);
    CHECK(pool->acquire(a, 3000, creating(true, kMany), got) == AcquireResult::queued && a.state == Waiter::queued);
    // After the delay a newcomer gets nothing, and the object is given to the first waiter.
    const std::uint64_t later = 1000 + kHandoffDelay + 1;
    CHECK(pool->release(index) == ReleaseResult::wake);
    CHECK(pool->acquire(c, later, creating(false, kMany), got) == AcquireResult::full);
    CHECK(pool->next_to_wake(later) == &a && a.state == Waiter::given && !a.kept);
    CHECK(pool->next_to_wake(later) == nullptr);
    CHECK(pool->acquire(a, later, creating(true, kMany), got) == AcquireResult::found && got == index && a.state == Waiter::off);
    // A waiter that withdraws after it was given an object learns of it.
    CHECK(pool->release(index) == ReleaseResult::wake && pool->next_to_wake(later) == &b);
    CHECK(pool->withdraw(b, got) && got == index && !pool->needs_slow_path());
    // When a woken waiter withdraws, the next one is woken.
    a.since = b.since = 0;
    a.kept = b.kept = true;
    CHECK(pool->acquire(a, 0, creating(true, kMany), got) == AcquireResult::queued);
    CHECK(pool->acquire(b, 0, creating(true, kMany), got) == AcquireResult::queued);
    CHECK(pool->release(index) == ReleaseResult::wake && pool->next_to_wake(0) == &a && !pool->withdraw(a, got));
    CHECK(pool->next_to_wake(0) == &b);
    CHECK(pool->acquire(b, 0, creating(true, kMany), got) == AcquireResult::found && got == index);
    // A waiter that was given an unsound object is first again.
    a.kept = b.kept = true;
    CHECK(pool->acquire(a, 1000, creating(true, kMany), got) == AcquireResult::queued);
    CHECK(pool->release(index) == ReleaseResult::wake);
    CHECK(pool->next_to_wake(later) == &a && pool->acquire(a, later, creating(true, kMany), got) == AcquireResult::found);
    CHECK(a.since == 1000);
    b.since = 0;
    CHECK(pool->acquire(b, 2000, creating(true, kMany), got) == AcquireResult::queued);
    CHECK(pool->acquire(a, later, creating(true, kMany), got) == AcquireResult::queued);
    CHECK(pool->release(index) == ReleaseResult::wake && pool->next_to_wake(later) == &a);
    CHECK(pool->acquire(a, later, creating(true, kMany), got) == AcquireResult::found);
    CHECK(!pool->withdraw(b, got) && b.since == 0 && !pool->needs_slow_path());
    // One that has waited for less than another does not overtake it so.
    Waiter early, late;
    early.kept = late.kept = true;
    CHECK(pool->acquire(early, 1000, creating(true, kMany), got) == AcquireResult::queued);
    CHECK(pool->acquire(late, 2000, creating(true, kMany), got) == AcquireResult::queued && !pool->withdraw(late, got));
    late.since = 2000;
    CHECK(pool->acquire(late, later, creating(true, kMany), got) == AcquireResult::queued);
    CHECK(pool->release(index) == ReleaseResult::wake && pool->next_to_wake(later + 2000) == &early);
    CHECK(pool->acquire(early, later, creating(true, kMany), got) == AcquireResult::found && !pool->withdraw(late, got));
    // A waiter that withdraws before has nothing.
    b.kept = true;
    CHECK(pool->acquire(b, 1000, creating(true, kMany), got) == AcquireResult::queued && !pool->withdraw(b, got) && b.kept);
    CHECK(pool->waiting() == 0 && pool->release(index) == ReleaseResult::kept);
}

static void fairness_and_bounds() {
    Pool pool = make(1, 1, true);
    Thing thing;
    std::uint32_t index = install(*pool, thing), got = kNone;
    Waiter a, b;
    a.kept = true;
    CHECK(pool->acquire(a, 0, creating(true, kMany), got) == AcquireResult::queued);
    CHECK(pool->acquire(b, 0, creating(true, kMany), got) == AcquireResult::too_many);
    CHECK(pool->release(index) == ReleaseResult::wake && pool->acquire(b, 0, creating(false, kMany), got) == AcquireResult::full);
    CHECK(pool->next_to_wake(0) == &a && pool->acquire(a, 0, creating(true, kMany), got) == AcquireResult::found);
    // A free slot wakes a waiter.
    a.kept = true;
    CHECK(pool->acquire(a, 0, creating(true, kMany), got) == AcquireResult::queued);
    CHECK(!pool->remove(index) && pool->next_to_wake(0) == nullptr);
    pool->release_slot(false);
    CHECK(pool->next_to_wake(0) == &a && a.state == Waiter::woken);
    CHECK(pool->acquire(a, 0, creating(true, 0), got) == AcquireResult::queued);
    CHECK(pool->acquire(a, 0, creating(true, 1), got) == AcquireResult::slot && pool->size() == 1);
    // Closing refuses all waiters.
    b.kept = true;
    CHECK(pool->acquire(b, 0, creating(true, kMany), got) == AcquireResult::queued);
    pool->close();
    CHECK(pool->next_to_wake(0) == &b && b.state == Waiter::refused);
    CHECK(pool->acquire(b, 0, creating(true, kMany), got) == AcquireResult::closed);
    CHECK(!pool->wait_for(a, kUntilEmpty));
    pool->release_slot(false);
    CHECK(pool->next_to_wake(0) == &a && pool->wait_for(a, kUntilEmpty) && pool->size() == 0);
    CHECK(pool->next_to_wake(0) == nullptr);
}

static void sizes_and_filters() {
    Pool pool = make(4);
    Thing things[4];
    std::uint32_t index[4], out[4];
    for (int i = 0; i < 4; ++i) {
        index[i] = install(*pool, things[i]);
        pool->table[index[i]].since.store_relaxed(10 * i);
    }
    for (int i = 0; i < 4; ++i) CHECK(pool->release(index[i]) == ReleaseResult::kept);
    CHECK(pool->install(&things[0], true, false) == kOwned && pool->existing() == 4 && pool->idle() == 4);
    // The oldest two of three stale ones; the others keep their order.
    CHECK(pool->collect_idle(IdleFilter{5, 25, 2, 0, 0}, out, 4) == 2 && out[0] == index[1] && out[1] == index[0]);
    CHECK(pool->idle() == 2);
    CHECK(pool->release_unused(index[0], false) == ReleaseResult::kept);
    CHECK(pool->try_acquire() == index[3] && pool->try_acquire() == index[2] && pool->try_acquire() == index[0]);
    CHECK(pool->try_acquire() == kNone);
    for (int i : {0, 1, 2, 3}) CHECK(pool->release(index[i]) == ReleaseResult::kept);
    // Drained: all, as many as there is room for.
    CHECK(pool->collect_idle(IdleFilter{5, 0, 0, 0, 1}, out, 3) == 3 && pool->idle() == 1 && out[0] == index[3]);
    // Smaller: what comes back is surplus until it fits.
    pool->set_max_size(2);
    CHECK(pool->release(index[3]) == ReleaseResult::surplus);
    CHECK(pool->release_unused(index[2], false) == ReleaseResult::surplus && pool->size() == 2);
    CHECK(pool->release(index[1]) == ReleaseResult::kept && pool->extra() == 2 && pool->remove(index[3]));
    CHECK(pool->remove(index[2]));
    pool->release_slot(true);
    pool->release_slot(true);
    CHECK(pool->extra() == 0 && pool->existing() == 2 && !pool->needs_slow_path());
}

static void first_in_first_out() {
    Pool pool = make(3, kMany, false, true);
    Thing things[3];
    std::uint32_t index[3], got = kNone;
    Waiter me;
    for (int i = 0; i < 3; ++i) index[i] = install(*pool, things[i]);
    for (int i = 0; i < 3; ++i) CHECK(pool->release(index[i]) == ReleaseResult::kept);
    CHECK(pool->try_acquire() == kNone && pool->idle() == 3);
    for (int i = 0; i < 3; ++i) {
        CHECK(pool->acquire(me, 0, creating(false, kMany), got) == AcquireResult::found && got == index[i]);
        CHECK(pool->release(got) == ReleaseResult::kept);
    }
    CHECK(pool->reused() == 3 && pool->peak() == 1);
}

// A client that orders an object keeps its place in the queue.
static void orders() {
    Pool pool = make(2, 1);
    Thing things[2];
    Waiter a, b, c;
    a.owner = &a;
    b.owner = &b;
    a.kept = b.kept = c.kept = true;
    std::uint32_t got = kNone;
    const Terms order{true, true, SlotUse::order, 2}, wait{true, true, SlotUse::none, 2};
    CHECK(pool->acquire(a, 1000, order, got) == AcquireResult::slot && a.state == Waiter::queued && pool->size() == 1);
    CHECK(pool->acquire(a, 1000, wait, got) == AcquireResult::queued);
    // It does not count as one that waits for objects of others, and does not keep others from ordering.
    const std::uint64_t later = 1000 + kHandoffDelay + 1;
    CHECK(pool->acquire(b, later, order, got) == AcquireResult::slot && b.state == Waiter::queued && pool->size() == 2);
    CHECK(pool->acquire(c, later, wait, got) == AcquireResult::queued && pool->next_to_wake(later) == nullptr);
    pool->withdraw(c, got);
    // The object of b comes first, and goes to a. Then b may order again.
    CHECK(!pool->wait_for(c, 1));
    std::uint32_t index = pool->install(&things[0], false, true);
    pool->table[index].expires = ~std::uint64_t{0};
    pool->table[index].drain_count = 0;
    CHECK(pool->existing() == 1 && pool->next_to_wake(later) == nullptr);      // on its way
    CHECK(pool->release_new(index) == ReleaseResult::wake);
    CHECK(pool->next_to_wake(later) == &c && c.state == Waiter::given && pool->wait_for(c, 1));
    CHECK(pool->next_to_wake(later) == &a && a.state == Waiter::given && pool->next_to_wake(later) == nullptr);
    CHECK(pool->acquire(a, later, wait, got) == AcquireResult::found && got == index && !a.ordered);
    CHECK(pool->acquire(b, later, order, got) == AcquireResult::queued && !b.ordered && pool->next_to_wake(later) == nullptr);
    pool->release_slot(false);                                                 // of the order of a, which failed
    CHECK(pool->next_to_wake(later) == &b && b.state == Waiter::woken);
    CHECK(pool->acquire(b, later, order, got) == AcquireResult::slot && b.ordered);
    // A freed slot is no news for a client that has ordered.
    pool->set_max_size(3);
    CHECK(pool->next_to_wake(later) == nullptr);
    // Whoever does not wait leaves the queue, and the order stays.
    CHECK(pool->acquire(b, later, Terms{false, false, SlotUse::none, 0}, got) == AcquireResult::full && !b.ordered);
    CHECK(pool->waiting() == 0 && pool->size() == 2);
    // Beyond the limit on creation nothing is ordered.
    b.kept = true;
    CHECK(pool->acquire(b, later, Terms{true, true, SlotUse::order, 1}, got) == AcquireResult::queued && pool->size() == 2);
    pool->withdraw(b, got);
    // An object that is being closed has no slot any more, as far as there is room.
    CHECK(!pool->remove(index) && pool->begin_closing(false) && pool->size() == 1 && pool->closing() == 1);
    CHECK(!pool->wait_for(c, kUntilClosed) && pool->next_to_wake(later) == nullptr);
    pool->end_closing(true, false);
    CHECK(pool->next_to_wake(later) == &c && pool->wait_for(c, kUntilClosed));
    pool->set_max_size(1);
    CHECK(pool->begin_closing(false) && pool->size() == 0 && pool->acquire_slot(1, 1) && !pool->acquire_slot(2, 2));
    CHECK(!pool->begin_closing(false) && pool->size() == 1 && pool->closing() == 2);
    // It is not in creation: another one may be.
    pool->set_max_size(2);
    CHECK(pool->acquire_slot(2, 1) && pool->size() == 2);
    pool->end_closing(false, false);
    CHECK(pool->size() == 1 && pool->closing() == 1);
}

// A client as the layer above makes it: something that sleeps, and references to it.
struct Client {
    Waiter waiter;
    std::atomic<bool> signalled{false};
    std::atomic<long> references{1};
};

static void count_reference(void* owner) {
    static_cast<Client*>(owner)->references.fetch_add(1, std::memory_order_relaxed);
}

static void wake_waiters(ObjectPool& pool, std::uint64_t now) {
    while (pool.needs_slow_path()) {
        Waiter* const waiter = pool.next_to_wake(now);
        if (waiter == nullptr) return;
        auto* const client = static_cast<Client*>(waiter->owner);
        client->signalled.store(true, std::memory_order_relaxed);
        client->references.fetch_sub(1, std::memory_order_relaxed);
    }
}

// `orders`: clients have their objects made, and wait meanwhile.
static void many_threads(unsigned threads, unsigned rounds, bool fair, bool fifo, bool orders = false) {
    constexpr std::uint32_t kObjects = 2;
    Pool pool(ObjectPool::make(), ObjectPool::destroy);
    pool->set_up(kObjects, kMany, fair, fifo, count_reference);
    std::vector<Thing> things(kObjects + threads);      // a thread has a spare one, for a slot that it is given
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
            index = pool->try_acquire();
            client.waiter.since = 0;
            bool queued = false, pending = false;
            auto carry_out = [&] {
                std::uint32_t made = pool->install(spare, false, true);
                CHECK(made < kOwned);
                pool->table[made].expires = ~std::uint64_t{0};
                pool->table[made].drain_count = 0;
                spare = nullptr;
                pending = false;
                CHECK(pool->release_new(made) == ReleaseResult::wake);
                wake_waiters(*pool, clock.load(std::memory_order_relaxed));
            };
            while (index == kNone) {
                const bool wait = (random >> 20) % 16 != 0;
                if (wait && !queued) {
                    client.references.fetch_add(1, std::memory_order_relaxed);
                    client.waiter.kept = true;
                }
                const std::uint64_t now = clock.fetch_add(kHandoffDelay / 16, std::memory_order_relaxed);
                const Terms order{wait, wait, pending ? SlotUse::none : SlotUse::order, 1};
                const AcquireResult result =
                    pool->acquire(client.waiter, now, orders ? order : creating(wait, kMany), index);
                pending |= orders && result == AcquireResult::slot && spare != nullptr;
                queued = result == AcquireResult::queued || (result == AcquireResult::slot && pending && wait);
                if (orders && wait && result == AcquireResult::slot && !pending) {
                    std::uint32_t given;
                    if (pool->withdraw(client.waiter, given)) index = given;
                }
                if (!queued && client.waiter.kept) {
                    client.waiter.kept = false;
                    client.references.fetch_sub(1, std::memory_order_relaxed);
                }
                wake_waiters(*pool, now);
                if (result == AcquireResult::slot && spare == nullptr) {
                    pool->release_slot(false);
                    wake_waiters(*pool, now);
                    break;
                }
                if (pending && !wait) break;
                if (result == AcquireResult::slot && !orders) {
                    index = pool->install(spare, false, false);
                    CHECK(index < kOwned);
                    pool->table[index].expires = ~std::uint64_t{0};
                    pool->table[index].drain_count = 0;
                    spare = nullptr;
                } else if (result == AcquireResult::full) {
                    break;
                }
                for (unsigned spins = 0; queued && !client.signalled.load(std::memory_order_relaxed); ++spins) {
                    bufpool::cpu_yield();
                    if (pending && spins == (random >> 4) % 64) {
                        carry_out();
                        break;
                    }
                    if (spins < 50 || (random >> 8) % 4 != 0) continue;
                    queued = false;                      // it times out
                    if (!pool->withdraw(client.waiter, index)) index = kNone;
                    if (client.waiter.kept) {
                        client.waiter.kept = false;
                        client.references.fetch_sub(1, std::memory_order_relaxed);
                    }
                    wake_waiters(*pool, now);
                    if (index == kNone) index = kOwned;  // nothing, and no second try
                }
                client.signalled.store(false, std::memory_order_relaxed);
            }
            if (pending) carry_out();                    // for others
            // The thread that woke us signals before it drops its reference.
            while (client.references.load(std::memory_order_relaxed) != 1) bufpool::cpu_yield();
            client.signalled.store(false, std::memory_order_relaxed);
            if (index >= kOwned) continue;
            auto& node = pool->table[index];
            CHECK(node.state() != ObjectState::unused);
            ++static_cast<Thing*>(node.address)->payload;
            ++mine;
            const std::uint64_t checkout = node.hand_out(ObjectState::leased);
            CHECK(node.take_back(checkout) && !node.take_back(checkout));
            if (spare == nullptr && (random >> 12) % 64 == 0) {
                spare = static_cast<Thing*>(node.address);
                CHECK(!pool->remove(index));
                pool->release_slot(false);
            } else {
                CHECK(pool->release(index) <= ReleaseResult::wake);
            }
            wake_waiters(*pool, clock.load(std::memory_order_relaxed));
        }
        written.fetch_add(mine, std::memory_order_relaxed);
    };
    std::vector<std::thread> all;
    for (unsigned t = 0; t < threads; ++t) all.emplace_back(work, t);
    for (auto& thread : all) thread.join();
    CHECK(pool->waiting() == 0 && !pool->needs_slow_path() && pool->idle() == pool->size() && pool->size() <= kObjects);
    std::uint64_t payloads = 0;
    for (const Thing& thing : things) payloads += thing.payload;
    CHECK(payloads == written.load() && pool->existing() == pool->size());
}

// Objects come back while the pool is closed. Each is refused to its client, or collected by the thread that closes.
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
                if (pool->release(mine) == ReleaseResult::closed) {
                    CHECK(pool->table[mine].state() == ObjectState::busy);
                    refused.fetch_add(1, std::memory_order_relaxed);
                    CHECK(!pool->remove(mine));
                    pool->release_slot(false);
                }
            });
        }
        while (ready.load(std::memory_order_relaxed) < kObjects) bufpool::cpu_relax();
        ready.fetch_add(1, std::memory_order_relaxed);
        pool->close();
        std::uint32_t collected[kObjects];
        const std::uint32_t found = pool->collect_idle(IdleFilter{~std::uint64_t{0}, 0, 0, 0, 0}, collected, kObjects);
        for (auto& thread : all) thread.join();
        CHECK(found + refused.load() == kObjects && pool->idle() == 0);
    }
}

int main(int argc, char** argv) {
    const unsigned rounds = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 100000;
    table(rounds);
    checkouts_are_distinct();
    waiting();
    fairness_and_bounds();
    sizes_and_filters();
    first_in_first_out();
    orders();
    closing(rounds);
    many_threads(2, rounds, false, false);
    many_threads(4, rounds / 2, false, false);
    many_threads(4, rounds / 2, true, false);
    many_threads(3, rounds / 3, false, true);
    many_threads(4, rounds / 8, false, false, true);
    many_threads(3, rounds / 6, true, true, true);
    std::printf("%u operations, 0 violations\n", rounds + 6 * rounds + 3 * (rounds / 3) + 4 * (rounds / 8) + 3 * (rounds / 6));
}
