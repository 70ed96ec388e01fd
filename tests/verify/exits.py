"""Programs with an object pool that end, and processes that fork while its maintenance thread starts: none may hang.

Each kind of program is run many times as a process of its own: a hang needs the thread to be at the wrong place when
the interpreter ends, and that differs from run to run. Every second run uses a loop of asyncio, too.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from typing import NamedTuple

from tests.verify import subprocesses
from tests.verify.check import Check, Found
from tests.verify.faults import LACKS_FORK

HANGS = 30  # seconds: hundreds of times as long as such a program takes


class Program(NamedTuple):
    """A short program, and how it ends."""

    source: str
    status: int = 0
    says: str = ""  # on standard error; nothing else
    needs: str = ""  # a package


USE = "with pool.lease(): pass\n"

PROGRAMS = {
    "max_idle": Program("pool = bufpool.Pool(list, max_idle=60)\n" + USE),
    "min_size": Program("pool = bufpool.Pool(list, min_size=2)\npool.wait()\n" + USE),
    "leak_threshold": Program("pool = bufpool.Pool(list, leak_threshold=60)\nheld = pool.acquire()\n" + USE),
    "SQLAlchemy": Program(
        """
from sqlalchemy import create_engine, text
from bufpool.resources.sqlalchemy import BufpoolPool
engine = create_engine("sqlite://", poolclass=BufpoolPool, pool_settings={"max_idle": 60})
with engine.connect() as connection:
    connection.execute(text("SELECT 1"))
pool = engine.pool.connections
""",
        needs="sqlalchemy",
    ),
    "exception": Program(
        "pool = bufpool.Pool(list, max_idle=60)\n" + USE + "raise_last = True\n", status=1, says="ZeroDivisionError"
    ),
    "sys.exit in a thread": Program(
        """
import sys, threading
pool = bufpool.Pool(list, max_idle=60)
def work():
    with pool.lease():
        sys.exit(3)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
    ),
    "closed": Program("pool = bufpool.Pool(list, max_idle=60)\n" + USE + "close_last = True\n"),
    "not closed, maintenance at work": Program(
        # Every other check fails: ten in a row would be logged, and a slow run has time for them.
        "import itertools; turns = itertools.count()\n"
        "pool = bufpool.Pool(list, min_size=1, max_idle=0.02, check=lambda _: next(turns) % 2, check_on='idle',\n"
        "                    check_interval=0.01)\n" + USE
        + "import time; time.sleep(0.03)\n"
    ),
    # The trace of a checkout names the task, so it looks for asyncio. With so many modules the end takes a while.
    "daemon threads at work": Program(
        """
import sys, threading, time
sys.modules.update({f"module {number}": sys for number in range(20_000)})
pool = bufpool.Pool(list, debug=True)
def work():
    while True:
        with pool.lease():
            pass
def work_last():
    for _ in range(6):
        threading.Thread(target=work, daemon=True).start()
    time.sleep(0.01)
"""
    ),
}

#: After the body: tasks use the same objects, or other ones.
LOOP = """
import asyncio
async def main():
    async with pool.as_async().lease():
        pass
    async with bufpool.AsyncPool(list, max_idle=60).lease():
        await asyncio.sleep(0)
asyncio.run(main())
"""

END = """
if globals().get("close_last"):
    pool.close()
if globals().get("raise_last"):
    1 / 0
if globals().get("work_last"):
    work_last()
"""


def wrong(kind: str, number: int) -> str:
    """Run a program once. What went wrong, if anything did."""
    program = PROGRAMS[kind]
    source = "import bufpool\n" + program.source + (LOOP if number % 2 else "") + END
    try:
        ran = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=HANGS, check=False)
    except subprocess.TimeoutExpired:
        return f"{kind}, run {number}: hangs"
    if ran.returncode != program.status or (program.says not in ran.stderr if program.says else ran.stderr):
        return f"{kind}, run {number}: exit status {ran.returncode}: {ran.stderr}"
    return ""


def programs(each: int, only: str = "") -> Found:
    """So many runs of each kind, or of one, as many at a time as there are processors."""
    kinds = [
        kind
        for kind, program in PROGRAMS.items()
        if only in ("", kind) and (not program.needs or importlib.util.find_spec(program.needs))
    ]
    runs = list(product(kinds, range(each)))
    with ThreadPoolExecutor(os.cpu_count()) as several:
        found = list(several.map(lambda run: wrong(*run), runs))
    return Found(f"{len(runs):,} exits of {len(kinds)} kinds of program", tuple(filter(None, found)))


def forks(count: int) -> Found:
    """Of a process that has just made a pool's first object, so that the maintenance thread is starting."""
    return subprocesses.run("processes", "forks_at_start", count)


def checks(full: bool) -> Iterator[Check]:
    """Exits and forks."""
    for kind, program in PROGRAMS.items():
        lacks = program.needs and not importlib.util.find_spec(program.needs) and f"{program.needs} is not installed"
        yield Check(f"exits: {kind}", partial(programs, 500 if full else 20, kind), lacks or "")
    yield Check("exits: forks after a pool's first object", partial(forks, 500 if full else 100), LACKS_FORK)
