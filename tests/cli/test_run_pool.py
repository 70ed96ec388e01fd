"""``python -m bufpool run``: the whole program is under the pool, and the report says what that was good for."""

from __future__ import annotations

import multiprocessing
import os
import re
import threading

import pytest

import bufpool
from bufpool.cli.run.threads import Threads
from tests.support.checkout import short_folder
from tests.support.threads import in_thread

POOLED = """
    import numpy as np
    def pooled(array):
        return np._core.multiarray.get_handler_name(array) == "bufpool"
"""


# --- the pool ------------------------------------------------------------------------------------------------------


def test_everything_of_the_program_is_pooled(programs):
    programs.write(
        "script.py",
        POOLED
        + """
    import asyncio, threading, os
    from concurrent.futures import ThreadPoolExecutor
    from multiprocessing.pool import ThreadPool

    made = {"main": np.ones(9)}

    class Thread(threading.Thread):
        def __init__(self):
            super().__init__()
        def run(self):
            made["subclass"] = np.ones(9)
            inner = threading.Thread(target=lambda: made.update(inner=np.ones(9)))
            inner.start()
            inner.join()

    def raw():
        made["plain"] = np.ones(9)

    threads = [Thread(), threading.Thread(target=raw), threading.Timer(0, lambda: made.update(timer=np.ones(9)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ThreadPoolExecutor(2) as workers:
        made["executor"] = workers.submit(np.ones, 9).result()
    with ThreadPool(2) as workers:
        made["pool of threads"] = workers.apply(np.ones, (9,))

    async def task():
        made["task"] = np.ones(9)
        made["to_thread"] = await asyncio.to_thread(np.ones, 9)
        made["in executor"] = await asyncio.get_running_loop().run_in_executor(None, np.ones, 9)

    asyncio.run(task())
    print(len(made), [name for name, array in made.items() if not pooled(array)])
    """,
    )
    done = programs.run("script.py")
    assert (done.returncode, done.stdout, done.stderr) == (0, "10 []\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_children_are_pooled_and_report_nothing(programs):
    programs.write(
        "script.py",
        POOLED
        + """
    import os, sys, threading
    child = os.fork()
    kept = []
    thread = threading.Thread(target=lambda: kept.append(np.ones(1000)))
    thread.start()
    thread.join()
    if child:
        os.waitpid(child, 0)
    print(pooled(np.ones(1000)) and pooled(kept[0]), flush=True)
    """,
    )
    done = programs.run("--stats", "script.py")
    assert done.stdout == "True\nTrue\n"
    assert done.stderr.count("bufpool run:") == 1


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_multiprocessing_works(programs, method, monkeypatch):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    monkeypatch.setenv("TMPDIR", short_folder())  # a fork server listens at a socket there
    programs.write(
        "script.py",
        POOLED
        + f"""
    import multiprocessing
    def work(n):
        return n, pooled(np.ones(9))
    if __name__ == "__main__":
        with multiprocessing.get_context("{method}").Pool(2) as workers:
            print(workers.map(work, range(2)))
    """,
    )
    done = programs.run("script.py")
    covered = method == "fork"
    assert (done.stdout, done.stderr) == (f"[(0, {covered}), (1, {covered})]\n", "")


def test_a_profiler_in_threads_works_beside(programs):
    """Whichever way the program sets and reads the profile function of its threads."""
    programs.both(
        programs.write(
            "script.py",
            """
            import sys, threading
            events = []
            first = threading.get_ident()
            def profiler(frame, event, argument):
                if threading.get_ident() != first:
                    events.append((event, frame.f_code.co_name))
            def work():
                assert sys.getprofile() is current
                len("")
            def go():
                events.clear()
                thread = threading.Thread(target=work)
                thread.start()
                thread.join()
                print(threading.getprofile() is current, events)
            current = None
            go()
            for name in ("setprofile", "setprofile_all_threads"):
                if hasattr(threading, name):
                    for current in (profiler, None):
                        getattr(threading, name)(current)
                        go()
                    sys.setprofile(None)
            print(threading.setprofile.__name__, threading.setprofile.__module__)
            """,
        )
    )


def test_a_profiler_in_threads_leaves_them_pooled(programs):
    programs.write(
        "script.py",
        POOLED
        + """
    import threading
    threading.setprofile(lambda *event: None)
    thread = threading.Thread(target=lambda: print(pooled(np.ones(9))))
    thread.start()
    thread.join()
    """,
    )
    assert programs.run("script.py").stdout == "True\n"


def test_the_limit(programs):
    programs.write("script.py", "import numpy as np\nnp.ones(1 << 17)\nnp.ones(1 << 18)")
    done = programs.run("--limit", "1.5X", "script.py")
    assert done.returncode == 2
    assert "argument --limit: must be a number of bytes" in done.stderr
    done = programs.run("--limit", "1.5M", "--stats", "script.py")
    assert done.returncode == 1
    assert "_ArrayMemoryError: Unable to allocate 2.00 MiB" in done.stderr
    assert "refused            1 request:" in done.stderr


# --- the report ----------------------------------------------------------------------------------------------------


def figure(report: str, pattern: str) -> float:
    return float(re.search(pattern, report)[1].replace(",", ""))


def test_the_report_counts_what_happened(programs):
    programs.write(
        "script.py",
        """
        import numpy as np, threading
        for _ in range(100):
            a = np.ones(1 << 20, "u1")
        threads = [threading.Thread(target=np.ones, args=(10,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print("done")
        """,
    )
    done = programs.run("--stats", "script.py")
    assert done.stdout == "done\n"
    assert figure(done.stderr, r"([\d,]+) checkouts") >= 100
    assert 97 <= figure(done.stderr, r"handed out again +([\d.]+) MiB") <= 100
    assert 0 < figure(done.stderr, r"time +([\d.]+) s") < 60
    assert 2.0 <= figure(done.stderr, r"in use at most +([\d.]+) MiB") < 2.2
    assert figure(done.stderr, r"threads +([\d,]+)") == 3
    if os.name == "posix":
        assert figure(done.stderr, r"page faults +([\d,]+) minor") > 0
    else:
        assert re.search("page faults +n/a", done.stderr)


def test_the_same_without_a_pool_is_there_to_compare_with(programs):
    programs.write("script.py", "import bufpool; print(bufpool.default_pool().installed)")
    done = programs.run("--plain", "--stats", "script.py")
    assert done.stdout == "False\n"
    assert done.stderr.startswith("bufpool run: no pool\n")
    assert 0 <= figure(done.stderr, r"time +([\d.]+) s\n$") < 60
    assert re.search(r"page faults +([\d,]+ minor|n/a)", done.stderr)
    assert programs.run("--plain", "script.py").stderr == ""


@pytest.mark.parametrize("options", [["--stats"], ["--plain", "--stats"]])
def test_a_program_that_does_not_exist_has_no_figures(programs, options):
    programs.write("bare/__init__.py", "")
    for arguments, words in (
        (["absent.py"], "can't open file"),
        (["-m", "absent"], "No module named absent"),
        (["-m", "bare"], "cannot be directly executed"),
        (["."], "can't find '__main__'"),
    ):
        done = programs.run(*options, *arguments)
        assert done.returncode in (1, 2)
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.skipif(os.name != "posix", reason="page faults")
@pytest.mark.parametrize("options", [["--stats"], ["--plain", "--stats"]])
def test_page_faults_and_time_are_the_programs(programs, options):
    """Neither counts the interpreter's start and the imports before the program."""
    programs.write(
        "script.py",
        """
        import atexit, resource, time
        def faults():
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        began, before = time.perf_counter(), faults()
        memory = bytearray(64 << 20)
        memory[::4096] = bytes(len(memory) // 4096)
        atexit.register(lambda: print(before, faults() - before, time.perf_counter() - began))
        """,
    )
    done = programs.run(*options, "script.py")
    before, during, seconds = map(float, done.stdout.split())
    assert during <= figure(done.stderr, r"page faults +([\d,]+) minor") < during + before / 2
    assert seconds - 0.001 <= figure(done.stderr, r"time +([\d.]+) s") < seconds + 1


@pytest.mark.parametrize("option", ["--limit", "--max-retained"])
def test_a_bound_without_a_pool_is_refused(programs, option):
    programs.write("script.py", "print('ran')")
    done = programs.run("--plain", option, "1M", "script.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--plain" in done.stderr


@pytest.mark.parametrize("line", ["sys.exit(3)", "1 / 0", "raise KeyboardInterrupt", "pass"])
def test_the_report_comes_last_however_the_program_ends(programs, line):
    programs.write("script.py", f"import atexit, sys\natexit.register(lambda: print('bye', file=sys.stderr))\n{line}")
    done = programs.run("--stats", "script.py")
    assert re.search(r"bye\nbufpool run: 0 checkouts, none reused\n(  .*\n)+$", done.stderr)


def test_without_it_nothing_is_said(programs):
    programs.both(programs.write("script.py", "import numpy as np; print(np.ones(3))"))


# --- threads, in this process --------------------------------------------------------------------------------------


def test_threads_are_reached_from_start_to_stop():
    pool = bufpool.BufferPool()
    threads = Threads(pool)
    before = threading.setprofile, threading.getprofile
    seen = []

    def once():
        in_thread(lambda: seen.append(pool.installed))

    threads.start()
    try:
        once()
    finally:
        threads.stop()
    once()
    assert seen == [True, False]
    assert threads.count == 1
    assert (threading.setprofile, threading.getprofile) == before
    assert threading.getprofile() is None


def test_the_default_pool_of_the_program_is_the_runs(programs):
    programs.write(
        "script.py",
        """
    import numpy as np
    import bufpool
    pool = bufpool.default_pool()
    print(pool.owns(np.ones(9)), pool.installed, pool.limit)
    """,
    )
    assert programs.run("--limit", "1G", "script.py").stdout == "True True 1073741824\n"
