"""``python -m bufpool run``: what a program sees, prints and exits with is what it would be without us."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

import bufpool
from bufpool import cli
from bufpool.cli.run import byte_count
from bufpool.cli.run.threads import Threads


def environment() -> dict[str, str]:
    """Where the package is found as this test found it, from any folder."""
    home = str(Path(bufpool.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([home, os.environ.get("PYTHONPATH", "")])}


def python(*arguments, cwd) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=cwd, env=environment(), check=False
    )


@pytest.fixture
def run(tmp_path):
    """Run the arguments as ``python -m bufpool run`` would."""
    return lambda *arguments: python("-m", "bufpool", "run", *arguments, cwd=tmp_path)


@pytest.fixture
def both(tmp_path):
    """Run the arguments plainly and under a pool, and check that nothing differs."""

    def compare(*arguments, flags=()):
        plain = python(*flags, *arguments, cwd=tmp_path)
        pooled = python(*flags, "-m", "bufpool", "run", *arguments, cwd=tmp_path)
        for each in (plain, pooled):
            each.stderr = re.sub(r"0x[0-9a-f]+", "0x", each.stderr)
            each.stdout = re.sub(r"0x[0-9a-f]+", "0x", each.stdout)
        assert (pooled.returncode, pooled.stdout, pooled.stderr) == (
            plain.returncode,
            plain.stdout,
            plain.stderr,
        )
        return pooled

    return compare


@pytest.fixture
def write(tmp_path):
    def write(name: str, text: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return name

    return write


POOLED = """
    import numpy as np
    def pooled(array):
        return np._core.multiarray.get_handler_name(array) == "bufpool"
"""

SEES = """
    import sys
    main = sys.modules["__main__"]
    print(sys.argv, sys.path[0], __name__, __file__, __package__, __spec__, __cached__, type(__loader__), __doc__)
    print(main.__dict__ is globals(), __builtins__, sorted(set(globals()) - {"__annotations__"}))
"""


# --- what the program sees -----------------------------------------------------------------------------------------


def test_a_script_sees_what_it_always_sees(both, write):
    done = both(write("sub/script.py", SEES), "a", "-m", "--stats", "--", "-x", "--limit", "b c", "")
    assert "'b c', ''" in done.stdout


def test_a_module_sees_what_it_always_sees(both, write):
    write("package/__init__.py", "import sys; print('imported with', sys.argv)")
    write("package/inner.py", SEES)
    write("package/__main__.py", SEES)
    write("single.py", SEES)
    for name in ("single", "package", "package.inner"):
        both("-m", name, "a", "--stats", "-m")


def test_folders_and_zip_files(both, write, tmp_path):
    import zipfile

    write("folder/__main__.py", SEES + "    import beside")
    write("folder/beside.py", "print('beside', __file__)")
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as packed:
        for name in ("__main__.py", "beside.py"):
            packed.write(tmp_path / "folder" / name, name)
    both("folder", "a")
    both("packed.zip", "a")


def test_compiled_scripts_and_links(both, write, tmp_path):
    import py_compile

    py_compile.compile(str(tmp_path / write("real/script.py", SEES)), cfile=str(tmp_path / "script.pyc"))
    both("script.pyc")
    if hasattr(os, "symlink") and os.name != "nt":
        (tmp_path / "link.py").symlink_to(tmp_path / "real" / "script.py")
        both("link.py")


def test_the_flags_of_python_hold(both, write):
    both(
        write("script.py", "import sys; print(sys.path[0], sys.flags.optimize); assert False"),
        flags=["-O", "-P"],
    )


def test_no_future_of_ours_leaks_into_the_program(both, write):
    both(write("script.py", "def f(x: int): ...\nprint(f.__annotations__)"))


def test_the_main_module_stays_for_exit_functions_and_pickle(both, write):
    both(
        write(
            "script.py",
            """
            import atexit, pickle, sys, threading, time
            class Thing: pass
            def later():
                time.sleep(0.2)
                print(type(pickle.loads(pickle.dumps(Thing()))), sys.modules["__main__"].Thing is Thing)
            atexit.register(later)
            threading.Thread(target=later).start()
            """,
        )
    )


# --- how it ends ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "pass",
        "raise SystemExit",
        "sys.exit(0)",
        "sys.exit(7)",
        "sys.exit('in words')",
        "os._exit(9)",
        "raise ValueError('wrong')",
        "deep(3)",
        "chained()",
        "raise ExceptionGroup('several', [ValueError(1), KeyError(2)])",
        "sys.excepthook = lambda *what: print('hook', what[0], what[2].tb_lineno); deep(1)",
        "threading.Thread(target=deep, args=(2,)).start()",
        "atexit.register(deep, 1)",
        "raise KeyboardInterrupt",
        "undefined_name",
        "import no_such_module",
        "exec('1 +')",
    ],
)
@pytest.mark.parametrize("as_module", [False, True])
def test_exit_status_and_tracebacks(both, write, line, as_module):
    write(
        "program.py",
        f"""
        import atexit, os, sys, threading
        def deep(n):
            if n == 0:
                raise LookupError("at the bottom")
            deep(n - 1)
        def chained():
            try:
                deep(2)
            except LookupError as error:
                raise RuntimeError("after that") from error
        {line}
        """,
    )
    done = both(*(["-m", "program"] if as_module else ["program.py"]))
    assert "bufpool" not in done.stderr


def test_what_debuggers_find_after_a_failure(both, write):
    both(
        write(
            "script.py",
            """
            import atexit, sys, traceback
            @atexit.register
            def show():
                print(sys.last_type, sys.last_value)
                traceback.print_tb(sys.last_traceback)
            1 / 0
            """,
        )
    )


@pytest.mark.parametrize(
    "arguments",
    [["absent.py"], ["folder/absent.py"], ["empty"], ["broken.py"], ["-m", "absent"], ["-m", "absent.inner"],
     ["-m", "bare"], ["-m", "failing"], ["-m", "failing.inner"], ["-m", "lacking"]],
)  # fmt: skip
def test_programs_that_cannot_start(tmp_path, write, arguments, run):
    (tmp_path / "empty").mkdir()
    write("broken.py", "print('not reached')\nx = = 1\n")
    write("bare/__init__.py", "")
    write("failing/__init__.py", "1 / 0")
    write("lacking/__init__.py", "import no_such_module")
    plain = python(*arguments, cwd=tmp_path)
    pooled = run(*arguments)
    assert (pooled.returncode, pooled.stdout) == (plain.returncode, "")
    assert "bufpool" not in pooled.stderr
    assert (
        pooled.stderr.splitlines()[-1].partition(": ")[2] == plain.stderr.splitlines()[-1].partition(": ")[2]
    )
    if "Traceback" not in plain.stderr:
        # Before the first colon stands the interpreter, and there it calls itself by one name or another.
        assert pooled.stderr.partition(": ")[2] == plain.stderr.partition(": ")[2]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals(tmp_path, write, number):
    write("script.py", "import time\nprint('up', flush=True); time.sleep(60)")
    ends = []
    for prefix in ([], ["-m", "bufpool", "run"]):
        process = subprocess.Popen(
            [sys.executable, *prefix, "script.py"],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Where the suite itself runs in the background, SIGINT may be ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        shown = process.communicate(timeout=60)[1]
        assert "bufpool" not in shown
        # The signal comes at one line or the other: only the last line is the same each time.
        ends.append((process.returncode, shown.splitlines()[-1:]))
    assert ends[0] == ends[1]
    assert ends[0][0] == -number


# --- the pool ------------------------------------------------------------------------------------------------------


def test_everything_of_the_program_is_pooled(run, write):
    write(
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
    done = run("script.py")
    assert (done.returncode, done.stdout, done.stderr) == (0, "10 []\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_children_are_pooled_and_report_nothing(run, write):
    write(
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
    done = run("--stats", "script.py")
    assert done.stdout == "True\nTrue\n"
    assert done.stderr.count("bufpool run:") == 1


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_multiprocessing_works(run, write, method):
    import multiprocessing

    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    write(
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
    done = run("script.py")
    covered = method == "fork"
    assert (done.stdout, done.stderr) == (f"[(0, {covered}), (1, {covered})]\n", "")


def test_a_profiler_in_threads_works_beside(both, write):
    """Whichever way the program sets and reads the profile function of its threads."""
    both(
        write(
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


def test_a_profiler_in_threads_leaves_them_pooled(run, write):
    write(
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
    assert run("script.py").stdout == "True\n"


def test_the_limit(run, write):
    write("script.py", "import numpy as np\nnp.ones(1 << 17)\nnp.ones(1 << 18)")
    done = run("--limit", "1.5M", "script.py")
    assert done.returncode == 2
    assert "is not a number of bytes" in done.stderr
    done = run("--limit", str(3 << 19), "--stats", "script.py")
    assert done.returncode == 1
    assert "_ArrayMemoryError: Unable to allocate 2.00 MiB" in done.stderr
    assert "refused            1 requests" in done.stderr


# --- the report ----------------------------------------------------------------------------------------------------


def figure(report: str, pattern: str) -> float:
    return float(re.search(pattern, report)[1].replace(",", ""))


def test_the_report_counts_what_happened(run, write):
    write(
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
    done = run("--stats", "script.py")
    assert done.stdout == "done\n"
    assert figure(done.stderr, r"([\d,]+) checkouts") >= 100
    assert 97 <= figure(done.stderr, r"handed out again +([\d.]+) MiB") <= 100
    assert 97 * 256 <= figure(done.stderr, r"([\d,]+) whole pages") <= 100 * 256
    assert 2.0 <= figure(done.stderr, r"in use at most +([\d.]+) MiB") < 2.2
    assert figure(done.stderr, r"threads +([\d,]+)") == 3
    if os.name == "posix":
        assert figure(done.stderr, r"page faults +([\d,]+) minor") > 0
    else:
        assert re.search("page faults +n/a", done.stderr)


@pytest.mark.parametrize("line", ["sys.exit(3)", "1 / 0", "raise KeyboardInterrupt", "pass"])
def test_the_report_comes_last_however_the_program_ends(run, write, line):
    write("script.py", f"import atexit, sys\natexit.register(lambda: print('bye', file=sys.stderr))\n{line}")
    done = run("--stats", "script.py")
    assert re.search(r"bye\nbufpool run: 0 checkouts, none reused\n(  .*\n)+$", done.stderr)


def test_without_it_nothing_is_said(both, write):
    both(write("script.py", "import numpy as np; print(np.ones(3))"))


# --- the command line ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("4096", 4096),
        ("1k", 1024),
        ("512M", 512 << 20),
        ("2g", 2 << 30),
        ("8388607T", 8388607 << 40),
    ],
)
def test_numbers_of_bytes(text, count):
    assert byte_count(text) == count


@pytest.mark.parametrize("text", ["", "M", "-1", "1.5G", "1e9", "2GB", "8388608T", "0x10", "²"])
def test_what_is_no_number_of_bytes(text):
    import argparse

    with pytest.raises(argparse.ArgumentTypeError, match="is not a number of bytes"):
        byte_count(text)


def test_version_and_help(capsys):
    for arguments, words in (
        (["--version"], f"bufpool {bufpool.__version__}\n"),
        (["--help"], "run an unchanged program"),
        (["run", "--help"], "[options] script.py [args]"),
    ):
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        assert stop.value.code == 0
        assert words in capsys.readouterr().out


def test_nothing_to_do(capsys):
    assert cli.main([]) == 2
    assert "usage: python -m bufpool" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["no-such-command"], ["--no-such-option"], ["run"], ["run", "-m"], ["run", "--no-such", "x.py"]],
)
def test_mistakes_are_told(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert "usage: python -m bufpool" in capsys.readouterr().err


def test_a_command_is_imported_only_when_asked_for(tmp_path):
    program = (
        "import sys; from bufpool.cli import main; main([]); "
        "print([name for name in sys.modules if name.startswith('bufpool.cli.')])"
    )
    assert python("-c", program, cwd=tmp_path).stdout == "[]\n"


# --- threads, in this process --------------------------------------------------------------------------------------


def test_threads_are_reached_from_start_to_stop():
    pool = bufpool.BufferPool()
    threads = Threads(pool)
    before = threading.setprofile, threading.getprofile
    seen = []

    def once():
        thread = threading.Thread(target=lambda: seen.append(pool.installed))
        thread.start()
        thread.join()

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
