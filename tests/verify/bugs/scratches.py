"""In scratches and their slots."""

from __future__ import annotations

from tests.verify.bug import Bug, Suite

SLOTS = "memory/native/_scratch_slots.pyx"
SCRATCH = "memory/native/_scratch.pyx"

# Where the guard is gone, something slow stands in the gap, so that few rounds suffice.
GUARD = "with cython.critical_section(self):"

ACQUIRE = """\
        with cython.critical_section(self):
            if self.idle > 0:
                top = self.slots[self.idle - 1]
                if self.is_reusable(top):
                    self.idle -= 1
                    return <object>top
            return self.acquire_slow()"""

RELEASE = """\
        with cython.critical_section(self):
            if self.idle < self.count and self.slots[self.idle] == <PyObject*>array:
                self.idle += 1
                return None
            return self.release_out_of_order(array)"""

LEAVE = """\
        with cython.critical_section(self):
            self.blocks -="""

SCRATCHES = (
    Bug(
        "two threads leave a scratch's block at once",
        SLOTS,
        LEAVE,
        LEAVE.replace(GUARD, "if True:"),
        Suite("memory/test_reached.py -k share_a_scratch_by_with"),
        without_gil=True,
    ),
    Bug(
        "a double release passes",
        SLOTS,
        '                raise DoubleReleaseError(f"{self!r}: this array was released before")',
        "                return None",
        Suite("memory/test_scratch.py::test_double_release"),
    ),
    Bug(
        "an array is handed out while a view lives",
        SLOTS,
        "            sole_reference(array)\n            and fields.weakreflist == NULL",
        "            fields.weakreflist == NULL",
        Suite("memory/test_scratch.py -k not_handed_out"),
    ),
    Bug(
        "an array is handed out though it is referred to weakly",
        SLOTS,
        "            and fields.weakreflist == NULL\n",
        "",
        Suite("memory/test_scratch.py::test_not_reached_through_a_weak_reference"),
    ),
    Bug(
        "an array is handed out wherever it lies",
        SLOTS,
        "            and <size_t>fields.data & self.misaligned == 0\n",
        "",
        Suite("memory/test_scratch.py -k a_moved_or_reshaped_array_is_not_reused"),
    ),
    Bug(
        "an array is handed out with its borrower's strides",
        SLOTS,
        "            and (nd < 2 or memcmp(fields.strides, self.layout + nd, nd * sizeof(cnp.npy_intp)) == 0)\n",
        "",
        Suite("memory/test_scratch.py -k a_moved_or_reshaped_array_is_not_reused"),
    ),
    Bug(
        "a scratch of a wiping pool shows the last user's bytes",
        SLOTS,
        "        if self.pool.arena.config.wipe:\n",
        "        if False:\n",
        Suite("memory/test_scratch.py -k wiping"),
    ),
    Bug(
        "a scratch goes on after its pool is closed",
        SLOTS,
        "            and self.pool.arena.closed.load_relaxed() == 0\n",
        "",
        Suite("memory/test_scratch.py::test_closed_pool"),
    ),
    Bug(
        "an array that is discarded is kept",
        SLOTS,
        "            self.slots[i] = self.slots[i + 1]\n        Py_DECREF(array)\n",
        "            self.slots[i] = self.slots[i + 1]\n",
        Suite("memory/test_scratch.py -k changed_array_is_not_handed_out"),
    ),
    Bug(
        "a scratch that is gone keeps its arrays",
        SLOTS,
        "            Py_DECREF(plain(self.slots[i]))\n",
        "            plain(self.slots[i])\n",
        Suite("memory/test_scratch.py::test_dropped_scratch_returns_its_arrays"),
    ),
    Bug(
        "names are emptied while a block is open",
        SLOTS,
        "                and self.blocks == 0\n",
        "",
        Suite("memory/test_scratch_blocks.py -k any_block_is_open"),
    ),
    Bug(
        "the end of a block that fails is not one",
        SLOTS,
        "            self.blocks -= self.blocks > 0 ",
        "            self.blocks -= self.blocks > 0 and kind is None ",
        Suite("memory/test_scratch_blocks.py -k failed_is_over"),
    ),
    Bug(
        "a collection in the middle of the look is not reckoned with",
        SLOTS,
        "                i < self.idle\n                and self.slots[i] == <PyObject*>array\n",
        "                True\n",
        Suite("memory/test_scratch_blocks.py -k code_run_by_a_name_search_sees_it_whole"),
    ),
    Bug(
        "idle arrays that others hold are kept without end",
        SLOTS,
        "        while self.idle >= MOST_IDLE: ",
        "        while False: ",
        Suite("memory/test_scratch.py::test_few_idle_arrays_are_kept"),
    ),
    Bug(
        "two threads acquire an array at once",
        SLOTS,
        ACQUIRE,
        ACQUIRE.replace(GUARD, "if True:").replace("self.idle -= 1", "repr(self); self.idle -= 1"),
        Suite("memory/test_scratch_threads.py -k threads_share_a_scratch"),
        without_gil=True,
    ),
    Bug(
        "two threads release an array at once",
        SLOTS,
        RELEASE,
        RELEASE.replace(GUARD, "if True:").replace("self.idle += 1", "repr(array); self.idle += 1"),
        Suite("memory/test_scratch_threads.py -k concurrent_double_release"),
        without_gil=True,
    ),
    Bug(
        "a scratch that was never set up has no slots",
        SCRATCH,
        "        self.set_slots(ScratchSlots.__new__(ScratchSlots))\n",
        "        pass\n",
        Suite("memory/test_scratch.py -k cannot_be_made"),
    ),
    Bug(
        "whoever leaves through the class enters",
        SCRATCH,
        "return (scratch.enter if self.enters else scratch.leave)(*exception)",
        "return scratch.enter(*exception)",
        Suite("memory/test_scratch_blocks.py -k exit_stack"),
    ),
    Bug(
        "a stale array is emptied while a method of NumPy is at work on it",
        SLOTS,
        "                and references_are(<PyObject*>array, 2 + names)  # the slot's, and `array`\n",
        "",
        Suite("memory/test_c_calls_back.py -k at_work"),
    ),
)
