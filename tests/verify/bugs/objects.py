"""In the pool of objects: what its tests for threads promise."""

from __future__ import annotations

from tests.verify.bug import Bug, Suite

ENGINE = "objects/engine.py"
CALLBACKS = "objects/callbacks.py"
MAINTENANCE = "objects/maintenance.py"
CHECKOUT = "objects/native/_checkout.pyx"
HELD = "objects/native/_held_object.pyx"
CORE = "objects/native/_pool_state.pyx"
SETTINGS = "objects/settings.py"
TRACING = "objects/tracing.py"
REFUSALS = "objects/refusals.py"
FIGURES = "objects/stats.py"
TOLD = Suite("objects/test_waiting.py -k told_who_has")
SHOWN = Suite("objects/test_stats_shown.py")

OBJECTS = (
    Bug(
        "objects older than a broken one are trusted",
        CORE,
        " or node.since.load_relaxed() < self.distrusted\n",
        "\n",
        Suite("objects/test_checks.py -k one_broken_object"),
    ),
    Bug(
        "a client's own finding says nothing of the other objects",
        ENGINE,
        'SUSPICIOUS = ("broken", "failed_reset", "discarded")\n',
        'SUSPICIOUS = ("broken", "failed_reset")\n',
        Suite("objects/test_checks.py -k one_broken_object"),
    ),
    Bug(
        "an object that is found idle is not prepared",
        CORE,
        "        if self.prepares_out:\n            return True\n",
        "",
        Suite("objects/test_callbacks.py -k each_checkout_prepared"),
    ),
    Bug(
        "an object whose preparation failed is used again",
        CALLBACKS,
        "        await runtime.call(self, self.settings.on_acquire, held.begin_callback(checkout))\n"
        "        held.end_callback(checkout)\n",
        "        thing = held.begin_callback(checkout)\n        held.end_callback(checkout)\n"
        "        await runtime.call(self, self.settings.on_acquire, thing)\n",
        Suite("objects/test_callbacks.py -k whose_preparation_fails"),
    ),
    Bug(
        "an object that could not be configured stays open",
        CALLBACKS,
        "        except BaseException:\n            await self.close(thing, runtime)\n            raise\n",
        "        except BaseException:\n            raise\n",
        Suite("objects/test_callbacks.py -k configure_or_on_acquire"),
    ),
    Bug(
        "a pool that cannot be entered stays open",
        "objects/pool.py",
        "        except BaseException:\n            self.close()\n            raise\n",
        "        except BaseException:\n            raise\n",
        Suite("objects/test_factory.py -k cannot_be_entered"),
    ),
    Bug(
        "every client tries a factory that fails",
        CALLBACKS,
        "        return self.beside + 1 if now >= self.retry_at else 0\n",
        "        return MOST\n",
        Suite("objects/test_factory.py -k left_alone"),
    ),
    Bug(
        "a pause after a failure is never over for who waits",
        CALLBACKS,
        "        return retry if deadline is None else min(deadline, retry)\n",
        "        return deadline\n",
        Suite("objects/test_factory.py -k doubl"),
    ),
    Bug(
        "a callback waits for itself",
        ENGINE,
        "        if in_callback_of(self.callbacks):\n",
        "        if False:\n",
        Suite("objects/test_callbacks.py -k a_callback_never_waits_for_its_own_pool"),
    ),
    Bug(
        "an object whose close fails fails its client",
        CALLBACKS,
        '            log().warning("pool %r: closing an object failed", self.settings.name, exc_info=True)\n',
        "            raise\n",
        Suite("objects/test_callbacks.py -k an_error_in_a_callback_costs_only_its_object"),
    ),
    Bug(
        "an object whose reset failed is used again",
        CALLBACKS,
        'return "failed_reset"',
        'return ""',
        Suite("objects/test_callbacks.py -k an_error_in_a_callback_costs_only_its_object"),
    ),
    Bug(
        "an exception of discard_on does not discard the object",
        CALLBACKS,
        "        return isinstance(error, self.settings.discard_on)\n",
        "        return type(error) in self.settings.discard_on\n",
        Suite("objects/test_leases.py -k discard_on"),
    ),
    Bug(
        "maintenance closes objects below min_size",
        MAINTENANCE,
        "max(0, core.size - engine.min_size)",
        "core.size",
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
        "an object is kept though the pool was drained while a callback had it",
        HELD,
        '    if core.pool.table[index].drain_count != core.drain_count:\n        return "drained"\n',
        "",
        Suite("objects/test_lifetimes.py -k drain_replaces_what_a_callback_holds"),
    ),
    Bug(
        "an object beyond the size is kept when its client is interrupted",
        HELD,
        '    if core.pool.table[index].extra:\n        return "overflow"\n',
        "",
        Suite("objects/test_interrupts.py -k opcode"),
    ),
    Bug(
        "a checkout that was never set up is used",
        CHECKOUT,
        '        if self.core is None:\n            raise RuntimeError("the checkout was never set up")\n',
        "",
        Suite("objects/test_edges.py -k never_set_up"),
    ),
    Bug(
        "a checkout without an object reads one",
        HELD,
        "    need(checkout, HELD)\n    if checkout.from_parent_process():\n        return NULL\n",
        "    if checkout.from_parent_process():\n        return NULL\n",
        Suite("objects/test_edges.py -k never_set_up"),
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
        HELD,
        "    need(checkout, HELD)\n    if checkout.from_parent_process():\n        return NULL\n",
        "    need(checkout, HELD)\n",
        Suite("objects/test_fork.py -k a_fork_in_a_callback_leaves_others_in_turn"),
    ),
    Bug(
        "forks are not counted",
        CORE,
        "    fork_count += 1\n",
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
        CHECKOUT,
        "0 <= timeout <= LONGEST_WAIT",
        "0 <= timeout",
        Suite("objects/test_waiting.py -k no_end"),
    ),
    Bug(
        "garbage is collected while a callback's entry is taken out of the context",
        "objects/native/_context.pyx",
        "    cdef bint collects = RESET_MAY_COLLECT and PyGC_Disable()\n",
        "    cdef bint collects = False\n",
        Suite("objects/test_callbacks.py -k garbage"),
        before=(3, 12),
    ),
    Bug(
        "waits in vain are not counted",
        "objects/creation.py",
        "        if waited:\n",
        "        if waited and answer == OBJECT:\n",
        Suite("objects/test_measures.py -k waits_in_vain"),
    ),
    Bug("the holders of the shortest time are named", REFUSALS, "reverse=True", "reverse=False", TOLD),
    Bug("all holders are named", REFUSALS, "SHOWN = 3 ", "SHOWN = 30 ", TOLD),
    Bug("objects with a callback are held by nobody", REFUSALS, "(others := core.in_use", "(others := core.idle", TOLD),
    Bug(
        "who does not wait is told who has the objects",
        REFUSALS,
        "        if limit != 0 and failure is None:\n",
        "        if failure is None:\n",
        Suite("objects/test_waiting.py -k without_time"),
    ),
    Bug(
        "a threshold for leaks samples one checkout in 128",
        SETTINGS,
        "settings.debug or settings.leak_threshold is not None",
        "settings.debug",
        Suite("objects/test_leaks.py -k used_before"),
    ),
    Bug(
        "a sampled thread that is gone has a number",
        TRACING,
        "thread=trace.thread if trace else ",
        "thread=",
        Suite("objects/test_leaks.py -k whose_thread_is_gone"),
    ),
    Bug(
        "a mistake in a check is loud each time",
        CALLBACKS,
        "        self._told.add(kind)\n",
        "",
        Suite("objects/test_callbacks.py -k mistake_in_a_check"),
    ),
    Bug(
        "objects that a check rejected are counted for ever",
        CALLBACKS,
        "            self._rejected, self._rejection_told = 0, False\n",
        "            pass\n",
        Suite("objects/test_callbacks.py -k rejects_everything"),
    ),
    Bug(
        "without a back-off one client at a time calls the factory",
        CALLBACKS,
        "        if not self._longest:\n            return MOST\n",
        "",
        Suite("objects/test_factory.py -k without_a_backoff"),
    ),
    Bug("what is not known is shown", FIGURES, " if seconds == seconds]", "]", SHOWN),
    Bug("JSON has what is no number", FIGURES, "None if value != value else value", "value", SHOWN),
    Bug("a change is shown as a state", FIGURES, 'if self.state == "change":\n', "if not self:\n", SHOWN),
    Bug(
        "what was idle for too long is handed out",
        CORE,
        "        return self.max_idle != 0 and now",
        "        return False and now",
        Suite("objects/test_lifetimes.py -k idle_for_too_long"),
    ),
    Bug(
        "what min_size keeps is closed at checkout",
        HELD,
        "and core.size > core.engine.min_size else",
        "else",
        Suite("objects/test_lifetimes.py -k min_size_keeps"),
    ),
)
