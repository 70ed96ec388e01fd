"""In the maintenance thread: when it starts and ends, and that nobody waits for it."""

from __future__ import annotations

from tests.verify.bug import Bug, Suite

MAINTENANCE = "objects/maintenance_thread.py"
LEASE = "objects/native/_lease.pyx"

MAINTAINED = (
    Bug(
        "a callback of one pool ends the maintenance of all",
        MAINTENANCE,
        "            except BaseException:  # noqa: BLE001",
        "            except Exception:  # noqa: BLE001",
        Suite("objects/test_lifetimes.py -k survives"),
    ),
    Bug(
        "a pool that goes takes itself off the maintenance thread's list while that is read",
        MAINTENANCE,
        "(pools := list(self._due))",
        "(pools := [known for known, _ in self._due.items()])",
        Suite("objects/test_lifetimes.py -k maintenance_survives_pools_that_vanish"),
    ),
    Bug(
        "the interpreter's end kills the maintenance thread",
        MAINTENANCE,
        "    _now().end()\n",
        "    pass\n",
        Suite("objects/test_maintenance_thread.py -k before_the_interpreter"),
    ),
    Bug(
        "the exit waits for a callback that hangs",
        MAINTENANCE,
        "            thread.join(GRACE)",
        "            thread.join(40)",
        Suite("objects/test_maintenance_thread.py -k hangs_does_not"),
    ),
    Bug(
        "the exit cuts a callback off",
        MAINTENANCE,
        "            thread.join(GRACE)",
        "            thread.join(0)",
        Suite("objects/test_maintenance_thread.py -k may_finish"),
    ),
    Bug(
        "clients see that the maintenance thread cannot start",
        MAINTENANCE,
        "        except (RuntimeError, MemoryError) as error:\n",
        "        except MemoryError as error:\n",
        Suite("objects/test_maintenance_thread.py -k cannot_start"),
    ),
    Bug(
        "a maintenance thread that could not start is not tried again",
        "objects/engine.py",
        "        maintenance_thread.ensure_running()\n",
        "",
        Suite("objects/test_maintenance_thread.py -k cannot_start"),
    ),
    Bug(
        "a maintenance thread starts at the interpreter's end",
        MAINTENANCE,
        "self._thread is not None or self._is_over or not",
        "self._thread is not None or not",
        Suite("objects/test_maintenance_thread.py -k after_its_end"),
    ),
    Bug(
        "a pool that comes as the maintenance thread ends is left to it",
        MAINTENANCE,
        "                if self._is_over or not self._due or self._thread is not None:\n",
        "                if True:\n",
        Suite("objects/test_maintenance_thread.py -k comes_as"),
    ),
    Bug(
        "a maintenance thread that another replaces keeps its wake-up",
        MAINTENANCE,
        "            self._ring()  # what woke",
        "            pass  # what woke",
        Suite("objects/test_maintenance_thread.py -k passes_its"),
    ),
    Bug(
        "a fork's child goes on with the parent's maintenance",
        MAINTENANCE,
        "        self._process_now = os.getpid\n",
        "        self._process_now = lambda: self._process\n",
        Suite("objects/test_maintenance_thread.py -k may_fork"),
    ),
    Bug(
        "a fork's child leaves its pools to the parent's maintenance thread",
        MAINTENANCE,
        "    if _of_process.is_parents:\n",
        "    if False:\n",
        Suite("objects/test_fork.py -k of_its_own"),
    ),
    Bug(
        "a fork's child takes a pool off the parent's list",
        MAINTENANCE,
        "        if not self._is_over:\n            self._sooner",
        "        if True:\n            self._sooner",
        Suite("objects/test_maintenance_thread.py -k a_child_needs_no_lock_of_the_parents_pools"),
        without_gil=True,
        before=(3, 14),
    ),
    Bug(
        "each trace looks into the dictionary of modules",
        "objects/runtimes.py",
        "(now := len(sys.modules)) != _modules",
        "(now := len(sys.modules))",
        Suite("objects/test_maintenance_thread.py -k daemon"),
        without_gil=True,
        before=(3, 14),
    ),
    Bug(
        "asyncio is used while it is being imported",
        "objects/runtimes.py",
        '        elif hasattr(found, "current_task"):',
        "        else:",
        Suite("objects/test_leaks.py -k a_trace_does_not_race_an_import_of_asyncio"),
    ),
    Bug(
        "callbacks are called while the interpreter ends",
        LEASE,
        "            if not self.try_release() and not is_finalizing():\n                self.core",
        "            if not self.try_release():\n                self.core",
        Suite("objects/test_maintenance_thread.py -k no_callback_for_a_lease_dropped_at_exit"),
    ),
)
