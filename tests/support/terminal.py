"""Programs as a terminal runs them: with Ctrl-C for the whole group, and few columns."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support.programs import environment

COLUMNS = 60


def default_sigint() -> None:
    """For ``preexec_fn``: where the suite itself runs in the background, SIGINT may be ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def descendants(process: int) -> list[int]:
    """All processes below one, from Linux's own lists; the nearest first."""
    found = []
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        found += [int(word) for word in children.read_text(encoding="ascii").split()]
    return found + [below for child in found for below in descendants(child)]


def interrupted(*arguments: str, cwd: Path, after: str) -> tuple[int, str]:
    """Run Python, press Ctrl-C while its child processes measure; the exit status and what stands on stderr.

    It must end within 20 s, and leave no child behind. `after` is a part of the line that it prints before it measures.
    """
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=default_sigint,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if after in line:
            break
    deadline = time.monotonic() + 60
    while not (workers := descendants(process.pid)):
        assert time.monotonic() < deadline, "it measures in processes of their own"
    time.sleep(1)  # in the middle of it: imports, or samples
    os.killpg(process.pid, signal.SIGINT)
    stopped = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - stopped < 20
    assert [worker for worker in workers if Path(f"/proc/{worker}").exists()] == []
    return process.returncode, said
