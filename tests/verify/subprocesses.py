"""Python programs of the checks, each in a process of its own, so that a crash ends the program and not the check."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable

from tests.support.checkout import ROOT
from tests.verify.check import Found


def run(program: str, *arguments: object, seconds: float = 600, **environment: str) -> Found:
    """What ``python -m tests.verify.<program>`` found, which says so with `report`."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-X", "faulthandler", "-m", f"tests.verify.{program}", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=seconds,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | environment,
        check=False,
    )
    lines = ran.stdout.splitlines()
    try:
        size, violations = json.loads(lines[-1] if lines else "")
    except ValueError:
        size, violations = "stopped", [f"no report: {ran.stdout}"]
    if ran.returncode != 0 or ran.stderr:
        violations.append(f"exit status {ran.returncode}: {ran.stderr}")
    return Found(size, tuple(violations))


def report(size: str, violations: Iterable[str]) -> None:
    """The last line of a program."""
    print(json.dumps([size, list(violations)]), flush=True)


def in_child(work: Callable[[Callable[[str], None]], None]) -> tuple[list[str], str]:
    """Run `work` in a fork of this process: all that it said, and how it ended if it did not end well."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(60)  # one that hangs is a violation too
            os.close(read)
            work(lambda line: os.write(write, line.encode() + b"\n") and None)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read().splitlines()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return said, "" if status == 0 else f"exit status {status}"
