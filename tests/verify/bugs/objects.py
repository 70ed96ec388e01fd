"""In the pool of objects: what its tests for threads promise."""

from __future__ import annotations

from tests.verify.bug import Bug, Suite

LIFECYCLE = "objects/lifecycle.py"
MANAGER = "objects/manager.py"
TURN = "objects/native/_checkout.pyx"
CORE = "objects/native/_pool_state.pyx"
SETTINGS = "objects/settings.py"
TRACING = "objects/tracing.py"

OBJECTS = (
    Bug(
        "every client tries a factory that fails",
        LIFECYCLE,
        "        return 1 if now >= self._retry_at else 0\n",
        "        return MOST\n",
        Suite("objects/test_factory.py -k left_alone"),
    ),
    Bug(
        "a pause after a failure is never over for who waits",
        LIFECYCLE,
        "        return retry if deadline is None else min(deadline, retry)\n",
        "        return deadline\n",
        Suite("objects/test_factory.py -k doubl"),
    ),
    Bug(
        "a callback waits for itself",
        LIFECYCLE,
        "        if inside(self):\n",
        "        if False:\n",
        Suite("objects/test_callbacks.py -k a_callback_never_waits_for_its_own_pool"),
    ),
    Bug(
        "an object whose close fails keeps its place",
        LIFECYCLE,
        "        finally:\n            if not keep_place:\n                turn.give_up()\n\n    async def _let_go",
        "        else:\n            if not keep_place:\n                turn.give_up()\n\n    async def _let_go",
        Suite("objects/test_callbacks.py -k an_error_in_a_callback_costs_only_its_object"),
    ),
    Bug(
        "an object whose reset failed is used again",
        LIFECYCLE,
        'return "failed_reset"',
        'return ""',
        Suite("objects/test_callbacks.py -k an_error_in_a_callback_costs_only_its_object"),
    ),
    Bug(
        "an exception that spoils an object does not",
        LIFECYCLE,
        "        return isinstance(error, self.chosen.discard_on)\n",
        "        return type(error) in self.chosen.discard_on\n",
        Suite("objects/test_leases.py -k spoils"),
    ),
    Bug(
        "upkeep goes below the least size",
        MANAGER,
        "most=max(0, core.size - self.min_size))",
        "most=core.size)",
        Suite("objects/test_lifetimes.py -k min_size"),
    ),
    Bug(
        "moments of checks are not looked at",
        SETTINGS,
        '        _validate.choice("check_on", word, name, MOMENTS)\n',
        "        pass\n",
        Suite("objects/test_settings.py -k check_on"),
    ),
    Bug(
        "what a callback has is kept though the pool was drained",
        TURN,
        '        if core.pool.table[index].drained != core.drained:\n            return "drained"\n',
        "",
        Suite("objects/test_lifetimes.py -k drain_replaces_what_a_callback_holds"),
    ),
    Bug(
        "one made beyond the size is kept when its client is interrupted",
        TURN,
        '        if core.pool.table[index].extra:\n            return "overflow"\n',
        "",
        Suite("objects/test_interrupts.py -k opcode"),
    ),
    Bug(
        "a turn that was never set up is used",
        TURN,
        "@cython.nonecheck(True)\ncdef class Turn",
        "@cython.nonecheck(False)\ncdef class Turn",
        Suite("project/test_uninitialized_objects.py -k crashes"),
    ),
    Bug(
        "a turn without an object in hand looks at one",
        TURN,
        "        self.need(HAND)\n        if self.claim.outlived():\n            return NULL\n",
        "        if self.claim.outlived():\n            return NULL\n",
        Suite("project/test_uninitialized_objects.py -k crashes"),
    ),
    Bug(
        "a method that nobody bound is called",
        "memory/native/_calls.pyx",
        "        if (get == NULL) {",
        "        if (false) {",
        Suite("project/test_uninitialized_objects.py -k crashes"),
    ),
    Bug(
        "the child of a callback that forks looks the parent's object up in its own table",
        TURN,
        "        self.need(HAND)\n        if self.claim.outlived():\n            return NULL\n",
        "        self.need(HAND)\n",
        Suite("objects/test_fork.py -k a_fork_in_a_callback_leaves_others_in_turn"),
    ),
    Bug(
        "forks are not counted",
        CORE,
        "    generation += 1\n",
        "    pass\n",
        Suite("objects/test_fork.py -k empty_pool"),
    ),
    Bug(
        "what hooks of a fork get before the pool's own use is the parent's",
        "objects/native/_lease.pyx",
        "    cdef ObjectPool* pool = core.state()\n",
        "    cdef ObjectPool* pool = core.pool\n",
        Suite("objects/test_fork.py -k a_fork_hook_gets_no_object_of_the_parent"),
    ),
    Bug(
        "two threads of a fork's child begin a pool's state each",
        CORE,
        "            if not other:\n",
        "            if True:\n",
        Suite("objects/test_fork.py -k begin_with_one"),
        without_gil=True,
    ),
    Bug(
        "a long time as a float wraps round",
        CORE,
        "0 <= timeout <= LONGEST_WAIT",
        "0 <= timeout",
        Suite("objects/test_waiting.py -k no_end"),
    ),
    Bug(
        "garbage is collected while a callback's entry is taken out of the context",
        TURN,
        "    cdef bint collects = RESET_MAY_COLLECT and PyGC_Disable()\n",
        "    cdef bint collects = False\n",
        Suite("objects/test_callbacks.py -k garbage"),
        before=(3, 12),
    ),
)
