"""In the queue at the limit. A C++ program tries it, rule by rule."""

from __future__ import annotations

from tests.verify.bug import Bug, Ladder

QUEUE = "memory/core/limit_queue.hpp"
WAIT = "memory/core/arena_wait.cpp"
RULES = Ladder("arena_waiting", 20)

LIMIT_QUEUE = (
    Bug(
        "what came back goes to another one before the first has looked",
        QUEUE,
        "(one_may_overtake_ && first.signalled.load_relaxed() == 0)",
        "one_may_overtake_",
        RULES,
    ),
    Bug(
        "a newcomer is not stopped",
        "memory/core/arena.cpp",
        "        if (!kInTurn) return Block{nullptr, Refusal::limit, false};\n",
        "        (void)kInTurn;\n",
        RULES,
    ),
    Bug(
        "whose turn it is is stopped, too",
        "memory/core/arena.cpp",
        "    return acquire_block<true, false>(nbytes, alignment);",
        "    return acquire_block<false, false>(nbytes, alignment);",
        RULES,
    ),
    Bug(
        "nobody may overtake at all",
        QUEUE,
        "if (first != nullptr && now > first->since + kHandoffDelay) {",
        "if (first != nullptr) {",
        RULES,
    ),
    Bug(
        "memory is reserved when nobody waits",
        QUEUE,
        "        } else {\n            gate.and_relaxed(~kGateReserved);\n        }\n        return first;",
        "        }\n        return first;",
        RULES,
    ),
    Bug(
        "the second goes before the first",
        QUEUE,
        "            if (other.absent_since == 0) return false;\n",
        "            if (other.absent_since == 0) return true;\n",
        RULES,
    ),
    Bug("the next one is not woken", QUEUE, "                        wake(*first);\n", "", RULES),
    Bug(
        "an event is set twice",
        QUEUE,
        "if (waiter.signalled.cas_strong_acq_rel_acquire(silent, 1)) events_.set(waiter.event);",
        "waiter.signalled.cas_strong_acq_rel_acquire(silent, 1), events_.set(waiter.event);",
        RULES,
    ),
    Bug(
        "an event is signalled once for all time",
        QUEUE,
        "if (slept == SleepResult::woken) waiter.signalled.cas_strong_acq_rel_acquire(open, 0);",
        "(void)open;",
        RULES,
    ),
    Bug(
        "a large request is passed again and again",
        QUEUE,
        "                        first->overtaken += 1;\n",
        "",
        RULES,
    ),
    Bug(
        "all are let pass when nothing comes back",
        QUEUE,
        "            if (was_first || (served && one_may_overtake_)) {\n",
        "            if (was_first) {\n",
        RULES,
    ),
    Bug(
        "who holds memory is stuck behind a large request",
        QUEUE,
        "                one_may_overtake_ = true;\n",
        "",
        RULES,
    ),
    Bug(
        "what comes back does not end the stall",
        QUEUE,
        "                waiter.quiet_since = now;\n                one_may_overtake_ = false;\n",
        "                waiter.quiet_since = now;\n",
        RULES,
    ),
    Bug(
        "a request is stuck behind that which it is a part of",
        QUEUE,
        "other.thread != waiter.thread && ",
        "",
        RULES,
    ),
    Bug(
        "who is away for long is waited for",
        QUEUE,
        " && now < other.absent_since + kAbsence) return false;",
        ") return false;",
        RULES,
    ),
    Bug(
        "those behind the first do not see that the arena is closed",
        QUEUE,
        "        if ((gate.load_relaxed() & kGateClosed) != 0) return true;\n",
        "",
        RULES,
    ),
    Bug(
        "the next pool's gate is shut",
        "memory/core/arena_life.cpp",
        "    arena->queue.gate.store_relaxed(0);\n",
        "",
        RULES,
    ),
    Bug(
        "closing leaves the gate open",
        "memory/core/arena_life.cpp",
        "    queue.gate.or_relaxed(kGateClosed);\n",
        "",
        RULES,
    ),
    Bug(
        "who waits while it forks is in no queue",
        QUEUE,
        "        if (waiter.epoch != epoch_) enqueue(waiter, now);",
        "        ",
        RULES,
    ),
    Bug(
        "who leaves in a fork's child leaves the parent's queue",
        QUEUE,
        "        if (waiter.epoch == epoch_) {\n            const bool",
        "        {\n            const bool",
        RULES,
    ),
    Bug(
        "who has been served stays in the queue",
        WAIT,
        "        queue.leave(*waiter_, now, true);",
        "        ",
        RULES,
    ),
    Bug(
        "what can never come is waited for",
        WAIT,
        "if (timeout == 0 || class_size(class_of(most)) > arena->config.limit) return true;",
        "if (timeout == 0) return true;",
        RULES,
    ),
)
