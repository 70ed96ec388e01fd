// The state of an object pool: which client has which object, and which clients wait. The layer above knows what an
// object is, and how to wake a waiter.
//
//   try_acquire ──► idle list ──► a client ──► release     one compare-and-swap each while no client waits
//                    ▲    │ it is empty, or clients wait: acquire, under the lock
//                    │    ├─► a free slot: the caller creates an object and installs it
//                    │    └─► the queue: an object is given to the first waiter, or it is woken to acquire again
//
// A client that orders its object from a worker keeps its place in the queue, and takes whichever comes first: an object
// that is returned, or a new one.
//
// A waiter is `off` until acquire or wait_for makes it `queued`. next_to_wake makes it `woken`, to acquire again (and
// to be queued again if there is nothing), `given` an object, or `refused` because the pool is closed. acquire and
// withdraw lead back to `off`.
//
// First come, first served for waiters that have waited for longer than kHandoffDelay; until then a running client may be
// quicker than one that has to be woken. Strict hand-over would cost a thread switch for each checkout. (The locks of
// Go, "starvation mode", 2016, and of WebKit, Pizlo 2016, are eventually fair in this way.)
//
// While the lock is held, no callback is called and no waiter is woken.
#pragma once

#include <cstdlib>
#include <new>

#include "bufpool/_core/atomics.hpp"
#include "idle_objects.hpp"
#include "object_table.hpp"
#include "bufpool/_core/waiter_queue.hpp"

namespace bufpool {

enum class AcquireResult : std::uint32_t {
    found = 0,     // this object
    slot = 1,      // a slot, for an object that the caller creates
    queued = 2,    // wait
    full = 3,      // neither an object nor a slot
    too_many = 4,  // the queue has its maximum length
    closed = 5
};

// What a client would do with a free slot.
enum class SlotUse : std::uint32_t {
    create = 0,    // create an object itself, in its turn: it leaves the queue
    order = 1,     // order an object from a worker, out of turn, and wait for any object
    none = 2       // it has ordered one already, or does not want any
};

// On which terms a client asks for an object.
struct Terms {
    bool may_wait;                   // for objects of others
    bool may_wait_for_order;         // for any object while its own is in creation
    SlotUse slot_use;
    std::uint32_t creation_limit;    // so many objects may be in creation at once
};

enum class ReleaseResult : std::uint32_t {
    kept = 0,
    wake = 1,      // kept, and a waiter may be waiting for it: call next_to_wake()
    surplus = 2,   // beyond the pool's size: it has no slot any more, and must be closed
    closed = 3     // not kept
};

// An object that a client has.
struct HeldObject {
    std::uint32_t index;
    std::uint64_t since;             // coarse ns
    std::uint64_t thread;
    void* address;
};

class ObjectPool {
  public:
    ObjectTable table;

    // Null: no memory.
    static ObjectPool* make() noexcept {
        void* const memory = std::malloc(sizeof(ObjectPool));
        return memory == nullptr ? nullptr : new (memory) ObjectPool;
    }
    static void destroy(ObjectPool* pool) noexcept {
        pool->~ObjectPool();
        std::free(pool);
    }

    // Before the pool is shared. `add_reference` adds a reference to a waiter's owner, or to an object.
    void set_up(std::uint32_t max_size, std::uint32_t max_waiting, bool fair, bool fifo,
                void (*add_reference)(void*)) noexcept {
        max_size_.store_relaxed(max_size);
        max_waiting_ = max_waiting;
        fair_ = fair;
        idle_.set_up(fifo);
        add_reference_ = add_reference;
    }

    // --- the hot paths, without the lock ---

    // An idle object, or kNone: then call acquire.
    std::uint32_t try_acquire() noexcept {
        if (BUFPOOL_UNLIKELY(slow_path_.load_relaxed() != 0)) return kNone;
        return pop();
    }

    // Returns an object that the caller has. `surplus` and `closed`: the caller has an object, `index`, perhaps another
    // one.
    ReleaseResult release(std::uint32_t& index) noexcept {
        if (BUFPOOL_LIKELY(slow_path_.load_relaxed() == 0)) {
            idle_.push(table, index);
            // Dekker (Dijkstra 1965): either we see that a waiter came meanwhile, that the pool was closed or made
            // smaller, or they see the object. `acquire`, `close` and `set_max_size` have the other half.
            fence_seq_cst();
            if (BUFPOOL_LIKELY(slow_path_.load_relaxed() == 0)) return ReleaseResult::kept;
            LockGuard guard(lock_);
            if (!closed_ && size_.load_relaxed() <= max_size_.load_relaxed()) return ReleaseResult::wake;
            const std::uint32_t idle = pop_under_lock();
            if (idle == kNone) return ReleaseResult::wake;
            idle_.count_internal_pop();
            index = idle;
            return reject(index);
        }
        LockGuard guard(lock_);
        return release_under_lock(index);
    }

    bool needs_slow_path() const noexcept { return slow_path_.load_relaxed() != 0; }

    // --- waiting ---

    // An object or a slot for `waiter`, which may be in the queue already. It is in the queue after `queued`, and after
    // `slot` if it orders an object and waits; otherwise it is in no queue.
    AcquireResult acquire(Waiter& waiter, std::uint64_t now, const Terms& terms, std::uint32_t& index) noexcept {
        LockGuard guard(lock_);
        if (waiter.state == Waiter::given) {
            waiter.state = Waiter::off;
            index = waiter.index;
            return AcquireResult::found;
        }
        if (waiter.state == Waiter::refused) waiter.state = Waiter::off;
        if (closed_) {
            remove_waiter(waiter);
            return AcquireResult::closed;
        }
        if (waiter.state == Waiter::woken) {
            waiter.state = Waiter::queued;
            --woken_;
        }
        set_ordered(waiter, terms.slot_use == SlotUse::none && waiter.ordered);
        const AcquireResult result = try_serve(waiter, now, terms, index);
        if (result != AcquireResult::queued) return result;
        if (!(waiter.ordered ? terms.may_wait_for_order : terms.may_wait)) {
            remove_waiter(waiter);
            waiter.since = 0;
            return AcquireResult::full;
        }
        if (waiter.state == Waiter::queued) return AcquireResult::queued;
        if (waiters_.length() - ordered_ >= max_waiting_) return AcquireResult::too_many;
        enqueue(waiter, now);
        fence_seq_cst();   // see release()
        return try_serve(waiter, now, terms, index);
    }

    // An object that `waiter` may have at once, or kNone.
    std::uint32_t acquire_at_once(Waiter& waiter, std::uint64_t now) noexcept {
        std::uint32_t index = kNone;
        return acquire(waiter, now, Terms{false, false, SlotUse::none, 0}, index) == AcquireResult::found ? index : kNone;
    }

    // Queues a waiter until `goal` objects exist, kUntilClosed or kUntilEmpty. True: that is so already.
    bool wait_for(Waiter& waiter, std::uint32_t goal) noexcept {
        LockGuard guard(lock_);
        waiter.goal = goal;
        if (waiter.state == Waiter::given) {
            waiter.state = Waiter::off;
            return true;
        }
        if (goal_reached(waiter)) {
            remove_waiter(waiter);
            return true;
        }
        if (waiter.state == Waiter::off) {
            waiter.state = Waiter::queued;
            watchers_.append(waiter);
            update_slow_path_flag();
        }
        return false;
    }

    // Leaves the queue. True: it had been given an object, `index`.
    bool withdraw(Waiter& waiter, std::uint32_t& index) noexcept {
        LockGuard guard(lock_);
        const bool given = waiter.state == Waiter::given && waiter.goal == 0;
        index = waiter.index;
        if (waiter.state == Waiter::given || waiter.state == Waiter::refused) waiter.state = Waiter::off;
        remove_waiter(waiter);
        waiter.since = 0;
        return given;
    }

    // The next waiter that must be woken, with a reference to its owner; null if there is none. Call it until then
    // whenever something has changed for waiters.
    Waiter* next_to_wake(std::uint64_t now) noexcept {
        LockGuard guard(lock_);
        for (Waiter* each = watchers_.first(); each != nullptr; each = each->after) {
            if (goal_reached(*each)) return dequeue(*each, Waiter::given);
        }
        Waiter* const head = waiters_.first();
        if (head == nullptr) return nullptr;
        if (closed_) return dequeue(*head, Waiter::refused);
        if (is_overdue(*head, now)) {
            const std::uint32_t index = pop_under_lock();
            if (index != kNone) {
                table[index].set_state(ObjectState::busy);
                head->index = index;
                return dequeue(*head, Waiter::given);
            }
        }
        // No waiter overtakes an overdue one. Woken now, the next one would acquire in vain again and again, and could
        // keep a loop of tasks from ever running the first.
        if (head->state == Waiter::woken && is_overdue(*head, now)) return nullptr;
        if (woken_ >= available()) return nullptr;
        // A waiter that has ordered an object has no use for a slot.
        for (Waiter* each = head; each != nullptr; each = each->after) {
            if (each->state == Waiter::queued && (!each->ordered || woken_ < idle())) {
                each->state = Waiter::woken;
                ++woken_;
                add_reference_(each->owner);
                return each;
            }
        }
        return nullptr;
    }

    // --- slots and objects ---

    // A slot beyond the size. Its object is not kept when it comes back.
    void add_extra_slot() noexcept {
        LockGuard guard(lock_);
        ++extra_;
        peak_.raise_relaxed(size_.load_relaxed() + extra_);
    }

    // A slot, if fewer than `wanted` are in use, and fewer than `creation_limit` objects are in creation.
    bool acquire_slot(std::uint32_t wanted, std::uint32_t creation_limit) noexcept {
        LockGuard guard(lock_);
        const std::uint32_t size = size_.load_relaxed();
        if (closed_ || size >= wanted || size >= max_size_.load_relaxed()) return false;
        if (in_creation() >= creation_limit) return false;
        size_.store_relaxed(size + 1);
        ++empty_slots_;
        return true;
    }

    // Puts an object into the slot that the caller has. The caller holds it then. `for_others`: it will call release_new.
    // kNone: no memory; kOwned: the pool has that object already.
    std::uint32_t install(void* address, bool extra, bool for_others) noexcept {
        LockGuard guard(lock_);
        if (table.find(address) != kNone) return kOwned;
        const std::uint32_t index = table.add(address);
        if (index == kNone) return kNone;
        ObjectNode& node = table[index];
        node.set_state(ObjectState::busy);
        node.uses.store_relaxed(0);
        node.extra = extra;
        node.traced = false;
        node.on_its_way = for_others;
        on_their_way_ += for_others ? 1 : 0;
        if (!extra) --empty_slots_;
        return index;
    }

    // Releases a new object that no client had yet, as `release` does.
    ReleaseResult release_new(std::uint32_t& index) noexcept {
        LockGuard guard(lock_);
        note_arrival(table[index]);
        return release_under_lock(index);
    }

    // Removes an object that the caller holds. The caller has its slot then: see release_slot. True: that slot is one
    // beyond the size.
    bool remove(std::uint32_t index) noexcept {
        LockGuard guard(lock_);
        const bool extra = table[index].extra;
        note_arrival(table[index]);
        if (!extra) ++empty_slots_;
        table.remove(index);
        return extra;
    }

    void release_slot(bool extra) noexcept {
        LockGuard guard(lock_);
        free_slot(extra);
    }

    // Frees the slot of an object that is being closed, so that another one can be created meanwhile. False: so many are
    // being closed that the caller keeps the slot, until end_closing.
    bool begin_closing(bool extra) noexcept {
        LockGuard guard(lock_);
        const bool frees = closing_ < max_size_.load_relaxed();
        if (frees) free_slot(extra);
        else if (!extra) ++full_closing_;
        ++closing_;
        return frees;
    }
    void end_closing(bool freed, bool extra) noexcept {
        LockGuard guard(lock_);
        --closing_;
        if (freed) return;
        if (!extra) --full_closing_;
        free_slot(extra);
    }

    // Up to `room` idle objects that match the filter. The caller holds them then.
    std::uint32_t collect_idle(const IdleFilter& filter, std::uint32_t* indices, std::uint32_t room) noexcept {
        LockGuard guard(lock_);
        return idle_.collect(table, filter, indices, room);
    }

    // Returns an object that no client used to the old end of the idle list; `in_any_case` also an object that the pool
    // does not want any more. Never `wake`: the caller calls next_to_wake anyway.
    ReleaseResult release_unused(std::uint32_t index, bool in_any_case) noexcept {
        LockGuard guard(lock_);
        if (closed_ && !in_any_case) return ReleaseResult::closed;
        if (!in_any_case && size_.load_relaxed() > max_size_.load_relaxed()) {
            make_surplus(index);
            return ReleaseResult::surplus;
        }
        idle_.push_oldest(table, index);
        return ReleaseResult::kept;
    }

    // --- the whole pool ---

    void close() noexcept {
        LockGuard guard(lock_);
        closed_ = true;
        update_slow_path_flag();
        fence_seq_cst();   // see release()
    }
    // Objects may be created again.
    void resume_creation() noexcept {
        LockGuard guard(lock_);
        stalled_ = false;
    }
    void set_max_size(std::uint32_t max_size) noexcept {
        LockGuard guard(lock_);
        max_size_.store_relaxed(max_size);
        update_slow_path_flag();
        fence_seq_cst();   // see release()
    }

    // The number of an object that the pool knows, or kNone; and the word of its checkout. Use the number with that
    // word only: the node may belong to another object soon.
    std::uint32_t find(const void* address, std::uint64_t& word) noexcept {
        LockGuard guard(lock_);
        const std::uint32_t index = table.find(address);
        if (index != kNone) word = table[index].word.load_acquire();
        return index;
    }

    // The object of that checkout, with a reference; null if the checkout is over.
    void* look(std::uint32_t index, std::uint64_t checkout) noexcept {
        LockGuard guard(lock_);
        ObjectNode& node = table[index];
        if (node.word.load_acquire() != checkout) return nullptr;
        add_reference_(node.address);
        return node.address;
    }

    // Objects that clients have had since `before` or longer, with a reference to each. `report`: only those not
    // reported yet, and mark them. Returns how many there are; `room` of them are written.
    std::uint32_t held(std::uint64_t before, bool report, HeldObject* out, std::uint32_t room) noexcept {
        LockGuard guard(lock_);
        std::uint32_t found = 0;
        for (std::uint32_t index = 0; index < table.used(); ++index) {
            ObjectNode& node = table[index];
            const ObjectState state = node.state();
            if (state != ObjectState::leased && state != ObjectState::acquired) continue;
            const std::uint64_t since = node.since.load_relaxed();
            if (since > before || (report && node.leak_reported.load_relaxed() != 0)) continue;
            if (found < room) {
                if (report) node.leak_reported.store_relaxed(1);
                add_reference_(node.address);
                out[found] = HeldObject{index, since, node.thread.load_relaxed(), node.address};
            }
            ++found;
        }
        return found;
    }

    // --- readings ---

    std::uint32_t size() const noexcept { return size_.load_relaxed(); }
    std::uint32_t max_size() const noexcept { return max_size_.load_relaxed(); }
    std::uint32_t idle() noexcept { return idle_.size(table); }
    std::uint32_t peak() const noexcept { return peak_.load_relaxed(); }
    std::uint32_t extra() noexcept { LockGuard guard(lock_); return extra_; }
    std::uint32_t creating() noexcept { LockGuard guard(lock_); return in_creation(); }
    std::uint32_t closing() noexcept { LockGuard guard(lock_); return closing_; }
    std::uint32_t waiting() noexcept { LockGuard guard(lock_); return waiters_.length(); }
    std::uint32_t existing() noexcept { LockGuard guard(lock_); return table.known(); }
    // A new object that was popped is none that is used again.
    void count_first_use() noexcept {
        LockGuard guard(lock_);
        idle_.count_internal_pop();
    }
    bool closed() noexcept { LockGuard guard(lock_); return closed_; }
    // Without the lock: for a fork's child, in which a thread of the parent may have left it locked.
    bool was_closed() const noexcept { return closed_; }
    std::uint64_t reused() noexcept {                                          // checkouts of an idle object
        LockGuard guard(lock_);
        return idle_.checkouts();
    }

  private:
    std::uint32_t pop() noexcept {
        std::uint32_t left = 0;
        const std::uint32_t index = idle_.pop(table, left);
        if (index != kNone) note_peak(left);
        return index;
    }

    std::uint32_t pop_under_lock() noexcept {
        std::uint32_t left = 0;
        const std::uint32_t index = idle_.pop_under_lock(table, left);
        if (index != kNone) note_peak(left);
        return index;
    }

    // `left`: objects that are still idle.
    void note_peak(std::uint32_t left) noexcept {
        const std::uint32_t size = size_.load_relaxed();
        if (size > left && size - left > peak_.load_relaxed()) peak_.raise_relaxed(size - left);
    }

    bool is_overdue(const Waiter& waiter, std::uint64_t now) const noexcept {
        return fair_ || now > waiter.since + kHandoffDelay;
    }

    // An object or a slot for `waiter`, unless an overdue waiter is before it; otherwise `queued`.
    AcquireResult try_serve(Waiter& waiter, std::uint64_t now, const Terms& terms, std::uint32_t& index) noexcept {
        const Waiter* const head = waiters_.first();
        const bool in_turn = head == nullptr || head == &waiter || !is_overdue(*head, now);
        if (in_turn) {
            index = pop_under_lock();
            if (index != kNone) {
                table[index].set_state(ObjectState::busy);
                remove_waiter(waiter);
                return AcquireResult::found;
            }
        }
        // An ordered object goes to whoever is first in the queue then, so that orders need no order.
        if (terms.slot_use == SlotUse::none || (terms.slot_use == SlotUse::create && !in_turn)) {
            return AcquireResult::queued;
        }
        const std::uint32_t size = size_.load_relaxed();
        if (size >= max_size_.load_relaxed()) return AcquireResult::queued;
        if (in_creation() >= terms.creation_limit) {
            if (waiter.state == Waiter::queued) stalled_ = true;
            return AcquireResult::queued;
        }
        size_.store_relaxed(size + 1);
        ++empty_slots_;
        peak_.raise_relaxed(size + 1);
        if (terms.slot_use == SlotUse::order && terms.may_wait_for_order) {
            if (waiter.state == Waiter::off) enqueue(waiter, now);
            set_ordered(waiter, true);
        } else {
            remove_waiter(waiter);
        }
        return AcquireResult::slot;
    }

    // Slots without an object that a worker does not keep for an old one. Without workers some are of objects that clients
    // close, and then create anew.
    std::uint32_t in_creation() const noexcept { return empty_slots_ - full_closing_; }

    void enqueue(Waiter& waiter, std::uint64_t now) noexcept {
        // One that was given an unsound object does not begin again at the end.
        if (waiter.since == 0) waiter.since = now;
        waiters_.insert(waiter);
        waiter.state = Waiter::queued;
        update_slow_path_flag();
    }

    void set_ordered(Waiter& waiter, bool ordered) noexcept {
        if (waiter.ordered == ordered) return;
        waiter.ordered = ordered;
        ordered_ += ordered ? 1u : -1u;
    }

    void note_arrival(ObjectNode& node) noexcept {
        if (!node.on_its_way) return;
        node.on_its_way = false;
        --on_their_way_;
    }

    void free_slot(bool extra) noexcept {
        if (extra) {
            --extra_;
        } else {
            --empty_slots_;
            size_.store_relaxed(size_.load_relaxed() - 1);
            stalled_ = false;
        }
        update_slow_path_flag();
    }

    // Objects and slots that a waiter could have.
    std::uint32_t available() noexcept {
        const std::uint32_t size = size_.load_relaxed(), max_size = max_size_.load_relaxed();
        return idle() + (max_size > size && !stalled_ ? max_size - size : 0);
    }

    bool goal_reached(const Waiter& watcher) const noexcept {
        if (watcher.goal == kUntilClosed) return closing_ == 0;
        if (watcher.goal == kUntilEmpty) return closed_ && size_.load_relaxed() == 0 && extra_ == 0 && closing_ == 0;
        return closed_ || table.known() - on_their_way_ >= watcher.goal;
    }

    // Removes it from its queue, if it is in one. It keeps the queue's reference.
    void remove_waiter(Waiter& waiter) noexcept {
        if (waiter.state != Waiter::queued && waiter.state != Waiter::woken) return;
        if (waiter.state == Waiter::woken) --woken_;
        (waiter.goal == 0 ? waiters_ : watchers_).remove(waiter);
        set_ordered(waiter, false);
        waiter.state = Waiter::off;
        stalled_ = false;
        update_slow_path_flag();
    }

    // Removes it from its queue, together with the queue's reference.
    Waiter* dequeue(Waiter& waiter, Waiter::State state) noexcept {
        remove_waiter(waiter);
        waiter.state = state;
        waiter.kept = false;
        return &waiter;
    }

    ReleaseResult release_under_lock(std::uint32_t index) noexcept {
        if (closed_ || size_.load_relaxed() > max_size_.load_relaxed()) return reject(index);
        idle_.push(table, index);
        return ReleaseResult::wake;
    }

    // Marks an object that is not kept.
    ReleaseResult reject(std::uint32_t index) noexcept {
        table[index].set_state(ObjectState::busy);
        if (closed_) return ReleaseResult::closed;
        make_surplus(index);
        return ReleaseResult::surplus;
    }

    void make_surplus(std::uint32_t index) noexcept {
        table[index].extra = true;
        ++extra_;
        size_.store_relaxed(size_.load_relaxed() - 1);
        update_slow_path_flag();
    }

    // The flag sends the fast paths to the lock.
    void update_slow_path_flag() noexcept {
        const bool waited_for = waiters_.length() != 0 || watchers_.length() != 0;
        const bool needed = waited_for || closed_ || size_.load_relaxed() > max_size_.load_relaxed();
        slow_path_.store_relaxed(needed ? 1 : 0);
    }

    // Read on the fast paths.
    Atomic<std::uint32_t> slow_path_;
    Atomic<std::uint32_t> size_;         // slots in use: objects, and those being created or closed
    Atomic<std::uint32_t> peak_;         // most slots without an idle object so far
    Atomic<std::uint32_t> max_size_;
    bool fair_ = false;
    IdleObjects idle_;

    // Under the lock.
    Lock lock_;
    WaiterQueue waiters_;
    WaiterQueue watchers_;               // wait for a number of objects, or for the end
    std::uint32_t woken_ = 0;            // waiters that were woken and have not acquired yet
    std::uint32_t empty_slots_ = 0;          // without an object in the table: it is being created or closed
    std::uint32_t extra_ = 0;            // slots beyond the size
    std::uint32_t closing_ = 0;          // objects that workers close
    std::uint32_t full_closing_ = 0;     // those of them that keep their slot
    std::uint32_t ordered_ = 0;          // waiters for which an object is in creation
    std::uint32_t on_their_way_ = 0;     // new objects that are not idle yet
    // A waiter was told that no object may be created now. It tries again by itself, so until something changes no
    // waiter is woken for a slot.
    bool stalled_ = false;
    std::uint32_t max_waiting_ = 0;
    bool closed_ = false;
    void (*add_reference_)(void*) = nullptr;
};

}  // namespace bufpool
