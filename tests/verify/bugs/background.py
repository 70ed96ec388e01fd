"""In the background of an object pool: orders, workers, and what they close."""

from __future__ import annotations

from tests.verify.bug import Bug, Ladder, Suite

POOL = "objects/core/object_pool.hpp"
QUEUE = "_core/waiter_queue.hpp"
ENGINE = "objects/engine.py"
ORDERED = "objects/orders.py"
WORKERS = "objects/workers.py"
RUNTIMES = "objects/runtimes.py"
MAINTENANCE = "objects/maintenance.py"
THREAD = "objects/maintenance_thread.py"
SEEN = Ladder("object_pool_ladder", 6_000)


def seen(file: str, word: str) -> Suite:
    return Suite(f"objects/background/test_{file}.py -k {word}")


BACKGROUND = (
    Bug(
        "a client with an order is woken for a slot",
        POOL,
        "(!each->ordered || woken_ < idle())",
        "(!each->ordered || true)",
        SEEN,
    ),
    Bug(
        "a client with an order is one that waits for others",
        POOL,
        "waiters_.length() - ordered_ >= max_waiting_",
        "waiters_.length() >= max_waiting_",
        SEEN,
    ),
    Bug(
        "orders are placed in turn",
        POOL,
        "(terms.slot_use == SlotUse::create && !in_turn)",
        "!in_turn",
        SEEN,
    ),
    Bug(
        "an object counts as ready before it is idle",
        POOL,
        "table.known() - on_their_way_ >= watcher.goal",
        "table.known() >= watcher.goal",
        SEEN,
    ),
    Bug(
        "whoever leaves the queue keeps the mark of an order",
        POOL,
        "        set_ordered(waiter, false);\n        waiter.state = Waiter::off;\n",
        "        waiter.state = Waiter::off;\n",
        SEEN,
    ),
    Bug(
        "there is no end of objects in closing",
        POOL,
        "const bool frees = closing_ < max_size_.load_relaxed();",
        "const bool frees = true;",
        SEEN,
    ),
    Bug(
        "nobody waits for objects in closing",
        POOL,
        "if (watcher.goal == kUntilClosed) return closing_ == 0;",
        "if (watcher.goal == kUntilClosed) return true;",
        SEEN,
    ),
    Bug(
        "whoever comes back to the queue is first",
        QUEUE,
        "while (previous != nullptr && previous->since > waiter.since) previous",
        "while (previous != nullptr && previous->since != waiter.since) previous",
        SEEN,
    ),
    Bug(
        "a second order while the first is carried out",
        ORDERED,
        "            wants = order is None and error is None and (may_wait or not patient)\n",
        "            wants = error is None and (may_wait or not patient)\n",
        seen("creation", "one_creation_at_a_time"),
    ),
    Bug(
        "an order that is carried out wakes nobody",
        ORDERED,
        "                checkouts.ring(client)\n",
        "                pass\n",
        seen("failures", "an_error_comes_at_once"),
    ),
    Bug(
        "a failure is waited out without being asked to",
        ORDERED,
        'if isinstance(error, Exception) and settings.on_failure == "wait":',
        "if isinstance(error, Exception):",
        seen("failures", "an_error_passes"),
    ),
    Bug(
        "whoever does not wait orders as many as there is room for",
        ORDERED,
        "settings.workers if patient else 1",
        "settings.workers",
        seen("creation", "who_does_not_wait_starts_one"),
    ),
    Bug(
        "the first use of an object is a reuse",
        ORDERED,
        "                    engine.count_first_use()\n",
        "",
        seen("stress", "stress"),
    ),
    Bug(
        "more is in creation than there are workers",
        ORDERED,
        "                min(creation_limit, settings.workers if patient else 1),\n",
        "                creation_limit,\n",
        seen("tasks", "as_many_tasks_as_workers"),
    ),
    Bug(
        "clients close objects",
        ENGINE,
        "if self.settings.close is None or not runtime.start(self.background.closing, close):",
        "if True:",
        seen("closing", "close_is_not_called_by_the_client"),
    ),
    Bug(
        "a lost object is not replaced",
        ENGINE,
        "                await close(runtime)\n            self.refill(runtime)\n",
        "                await close(runtime)\n",
        seen("kept_ready", "a_lost_object_is_replaced"),
    ),
    Bug(
        "a failed refill is not tried again",
        ENGINE,
        "            if self.settings.workers:\n                self.refill_later(runtime)\n            raise\n",
        "            raise\n",
        seen("kept_ready", "tried_again_after_the_pause"),
    ),
    Bug(
        "the end of a pool does not wait for objects in closing",
        ENGINE,
        "await self._wait_for(UNTIL_CLOSED, CLOSING, runtime,",
        "await self._wait_for(UNTIL_CLOSED, 0.0, runtime,",
        seen("closing", "waits_until_idle_objects_are_closed"),
    ),
    Bug(
        "work is lost when no thread can start",
        WORKERS,
        "            return not self._withdraw(work)\n",
        "            return True\n",
        seen("processes", "without_threads"),
    ),
    Bug(
        "workers never end",
        WORKERS,
        "            return bool(workers.work)\n        return bool",
        "            return True\n        return bool",
        seen("processes", "workers_end"),
    ),
    Bug(
        "the end of a program waits for a callback that hangs",
        WORKERS,
        "worker.thread.join(max(0.0, until - monotonic()))",
        "worker.thread.join()",
        seen("processes", "a_program_ends"),
    ),
    Bug(
        "a child counts on its parent's workers",
        ENGINE,
        "if found is None or found.creating.are_parents:",
        "if found is None:",
        seen("processes", "in_the_child_of_a_fork"),
    ),
    Bug(
        "maintenance in the thread of all pools",
        MAINTENANCE,
        "if core is None or not core.engine.settings.workers:",
        "if True:",
        seen("processes", "does_not_stop_the_maintenance"),
    ),
    Bug(
        "a round that ends forgets what was wanted sooner",
        THREAD,
        "            if (sooner := self._sooner.get(known, inf)) < self._due.get(known, inf):\n",
        "            if (sooner := inf) < self._due.get(known, inf):\n",
        seen("kept_ready", "tried_again_after_the_pause"),
    ),
    Bug(
        "tasks call callbacks in asyncio's executor",
        RUNTIMES,
        "        if not self._workers().calling.start(work):\n",
        "        if not loop.run_in_executor(None, work):\n",
        Suite("objects/test_threads_and_tasks.py -k is_full"),
    ),
)
