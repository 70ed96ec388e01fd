"""In the Python files. Nothing is built for them."""

from __future__ import annotations

from tests.verify.bug import Bug, Suite

POOL = "memory/buffer_pool.py"
SETTINGS = "_validate.py"
STATS = "memory/stats.py"
FIGURES = "objects/stats.py"
DECORATE = "memory/decorate.py"
THREADS = "cli/run/threads.py"

PYTHON = (
    Bug(
        "NaN is a number of seconds",
        SETTINGS,
        "    if not number >= 0:\n",
        "    if number < 0:\n",
        Suite("memory/test_bad_state.py::test_setting_out_of_range"),
    ),
    Bug(
        "True is a number of bytes",
        "memory/sizes.py",
        "isinstance(value, bool) or not 0 <= number < 1 << 63",
        "not 0 <= number < 1 << 63",
        Suite("memory/test_bad_state.py::test_setting_out_of_range"),
    ),
    Bug(
        "a word is a flag",
        SETTINGS,
        "        if value in (True, False):\n            return bool(value)",
        "        return bool(value)",
        Suite("memory/test_mistakes.py -k a_flag"),
    ),
    Bug(
        "a long wait overflows the clock",
        SETTINGS,
        "return None if number > LONGEST_WAIT else number",
        "return number",
        Suite("memory/test_bad_state.py::test_long_and_short_times"),
    ),
    Bug(
        "prewarm keeps none of its arrays",
        POOL,
        "blocks.append(self.empty(shape, dtype))",
        "blocks.append(self.empty(shape, dtype).copy())",
        Suite("memory/test_bounds.py -k prewarm"),
    ),
    Bug(
        "prewarm does not ask for room",
        POOL,
        "                self._check_room(count, blocks[0].nbytes)\n",
        "                pass\n",
        Suite("memory/test_mistakes.py -k prewarm"),
    ),
    Bug(
        "prewarm touches one array of all",
        POOL,
        "            touch(blocks[-1])",
        "            touch(blocks[0])",
        Suite("memory/test_bounds.py -k prewarmed_memory"),
    ),
    Bug(
        "an executor's workers run without the pool",
        POOL,
        "            self.install()\n            if initializer",
        "            if initializer",
        Suite("memory/test_handler_contexts.py::test_thread_pool"),
    ),
    Bug(
        "an executor's own initializer is dropped",
        POOL,
        "                initializer(*args)\n",
        "                pass\n",
        Suite("memory/test_handler_contexts.py::test_thread_pool"),
    ),
    Bug(
        "a second default pool takes the place of the first",
        POOL,
        '_default.setdefault("pool", BufferPool(name="default"))',
        '_default.__setitem__("pool", BufferPool(name="default")) or _default["pool"]',
        Suite("memory/test_mistakes.py -k default_pool"),
    ),
    Bug(
        "a difference of drops is their sum so far",
        STATS,
        "count - before[why]",
        "count",
        Suite("memory/test_stats.py"),
    ),
    Bug(
        "a difference loses classes that are new",
        STATS,
        "was = then.get(each.size, ClassStats(each.size, 0, 0, 0, 0))",
        "was = then.get(each.size, each)",
        Suite("memory/test_stats.py"),
    ),
    Bug(
        "counts follow what they were made of",
        "_counts.py",
        "self._counts = dict(counts)",
        "self._counts = counts",
        Suite("memory/test_stats_copied.py"),
    ),
    Bug(
        "counts are pickled as a dict, which can be changed",
        "_counts.py",
        "return Counts, (self._counts.copy(),)",
        "return dict, (self._counts.copy(),)",
        Suite("memory/test_stats_copied.py"),
    ),
    Bug(
        "times that there are not are unequal after a pickle",
        FIGURES,
        "return _comparable, (tuple(self),)",
        "return ObjectStats, tuple(self)",
        Suite("memory/test_stats_copied.py"),
    ),
    Bug(
        "times that there are not are unequal from one snapshot to the next",
        FIGURES,
        "    return _comparable(stats)\n",
        "    return stats\n",
        Suite("memory/test_stats_copied.py"),
    ),
    Bug(
        "what is in use counts as idle too",
        STATS,
        "idle = max(0, reserved - in_use)",
        "idle = reserved",
        Suite("memory/test_bounds.py -k trim_gives"),
    ),
    Bug(
        "drops are named in another order",
        STATS,
        '"over_max_retained", "aged_out", "trimmed", "closed"',
        '"over_max_retained", "trimmed", "aged_out", "closed"',
        Suite("memory/test_stats.py -k named_by_their_reason"),
    ),
    Bug(
        "a generator that raises leaves the pool installed",
        DECORATE,
        "            with context:\n                value = step()\n",
        "            context.__enter__()\n            value = step()\n            context.__exit__(None, None, None)\n",
        Suite("memory/test_decorate.py -k generator"),
    ),
    Bug(
        "a generator is closed outside the pool",
        DECORATE,
        "            with context:\n                source.close()\n",
        "            source.close()\n",
        Suite("memory/test_decorate.py -k ends_under_the_pool"),
    ),
    Bug(
        "what is thrown into a generator is swallowed",
        DECORATE,
        "step = functools.partial(source.throw, error)",
        "step = functools.partial(source.send, None)",
        Suite("memory/test_decorate.py -k generator"),
    ),
    Bug(
        "an asynchronous generator is left open",
        DECORATE,
        "                await _Driven(context, source.aclose())",
        "                pass",
        Suite("memory/test_decorate.py -k asynchronous"),
    ),
    Bug(
        "a coroutine runs outside the pool",
        DECORATE,
        "            return await _Driven(context, function(*args, **kwargs))",
        "            return await function(*args, **kwargs)",
        Suite("memory/test_decorate.py -k coroutine"),
    ),
    Bug(
        "a class is decorated",
        DECORATE,
        "isinstance(function, type) or not callable(function)",
        "not callable(function)",
        Suite("memory/test_mistakes.py -k class_is_not_decorated"),
    ),
    Bug(
        "a program's new profiler takes our place in its threads",
        THREADS,
        '            self._theirs = func\n            self._originals["setprofile"](self._first_event)\n',
        "            self._theirs = func\n",
        Suite("cli/test_run_pool.py -k profiler"),
    ),
    Bug(
        "what replaced threading's functions stays",
        THREADS,
        "            setattr(threading, name, original)\n        threading.setprofile",
        "            pass\n        threading.setprofile",
        Suite("cli/test_run_pool.py -k from_start_to_stop"),
    ),
)
