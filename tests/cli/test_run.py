"""``python -m bufpool run``: what a program sees, prints and exits with is what it would be without us."""

from __future__ import annotations

import os
import py_compile
import signal
import subprocess
import sys
import zipfile

import pytest

from tests.support.programs import beside_places, environment
from tests.support.terminal import default_sigint

SEES = """
    import sys
    main = sys.modules["__main__"]
    print(sys.argv, sys.path[0], __name__, __file__, __package__, __spec__, type(__loader__), __doc__)
    print(globals().get("__cached__", "not there, as from 3.15 on"))
    print(main.__dict__ is globals(), __builtins__, sorted(set(globals()) - {"__annotations__"}))
"""


# --- what the program sees -----------------------------------------------------------------------------------------


def test_a_script_sees_what_it_always_sees(programs):
    done = programs.both(programs.write("sub/script.py", SEES), "a", "-m", "--stats", "--", "-x", "--limit", "b c", "")
    assert "'b c', ''" in done.stdout


def test_a_module_sees_what_it_always_sees(programs):
    programs.write("package/__init__.py", "import sys; print('imported with', sys.argv)")
    programs.write("package/inner.py", SEES)
    programs.write("package/__main__.py", SEES)
    programs.write("single.py", SEES)
    for name in ("single", "package", "package.inner"):
        programs.both("-m", name, "a", "--stats", "-m")


def test_folders_and_zip_files(programs, tmp_path):
    programs.write("folder/__main__.py", SEES + "    import beside")
    programs.write("folder/beside.py", "print('beside', __file__)")
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as packed:
        for name in ("__main__.py", "beside.py"):
            packed.write(tmp_path / "folder" / name, name)
    programs.both("folder", "a")
    programs.both("packed.zip", "a")


def test_compiled_scripts_and_links(programs, tmp_path):
    py_compile.compile(str(tmp_path / programs.write("real/script.py", SEES)), cfile=str(tmp_path / "script.pyc"))
    programs.both("script.pyc")
    if hasattr(os, "symlink") and os.name != "nt":
        (tmp_path / "link.py").symlink_to(tmp_path / "real" / "script.py")
        programs.both("link.py")


def test_the_flags_of_python_hold(programs):
    programs.both(
        programs.write("script.py", "import sys; print(sys.path[0], sys.flags.optimize); assert False"),
        flags=["-O", "-P"],
    )


def test_no_future_of_ours_leaks_into_the_program(programs):
    programs.both(programs.write("script.py", "def f(x: int): ...\nprint(f.__annotations__)"))


def test_main_stays_for_exit_functions_and_pickle(programs):
    programs.both(
        programs.write(
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
def test_exit_status_and_tracebacks(programs, line, as_module):
    programs.write(
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
    done = programs.both(*(["-m", "program"] if as_module else ["program.py"]))
    assert "bufpool" not in beside_places(done.stderr, programs.folder)


def test_what_debuggers_find_after_a_failure(programs):
    programs.both(
        programs.write(
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
def test_programs_that_cannot_start(tmp_path, programs, arguments):
    (tmp_path / "empty").mkdir()
    programs.write("broken.py", "print('not reached')\nx = = 1\n")
    programs.write("bare/__init__.py", "")
    programs.write("failing/__init__.py", "1 / 0")
    programs.write("lacking/__init__.py", "import no_such_module")
    plain = programs.python(*arguments)
    pooled = programs.run(*arguments)
    assert (pooled.returncode, pooled.stdout) == (plain.returncode, "")
    assert "bufpool" not in beside_places(pooled.stderr, programs.folder)
    assert pooled.stderr.splitlines()[-1].partition(": ")[2] == plain.stderr.splitlines()[-1].partition(": ")[2]
    if "Traceback" not in plain.stderr:
        # Before the first colon stands the interpreter, and there it calls itself by one name or another.
        assert pooled.stderr.partition(": ")[2] == plain.stderr.partition(": ")[2]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals(tmp_path, programs, number):
    # Not one long sleep: a signal that comes just before it would be seen after it.
    programs.write("script.py", "import time\nprint('up', flush=True)\nwhile True: time.sleep(0.05)")
    ends = []
    for prefix in ([], ["-m", "bufpool", "run"]):
        process = subprocess.Popen(
            [sys.executable, *prefix, "script.py"],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=default_sigint,
        )
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        shown = process.communicate(timeout=60)[1]
        assert "bufpool" not in beside_places(shown, tmp_path)
        # The signal comes at one line or the other: only the last line is the same each time.
        ends.append((process.returncode, shown.splitlines()[-1:]))
    assert ends[0] == ends[1]
    assert ends[0][0] == -number


@pytest.mark.parametrize("arguments", [["--", "a"], ["--", "--"], ["--"], ["a", "--", "b"], ["--stats", "--"]])
def test_two_dashes_among_the_arguments_are_the_programs(programs, arguments):
    script = programs.write("script.py", "import sys; print(sys.argv)")
    assert programs.both(script, *arguments).stdout == f"{[script, *arguments]}\n"
