"""Worker processes and threads with a state of their own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from concurrent.futures.thread import BrokenThreadPool

import psutil
import pytest

from bufpool.resources import workers

state: list[str] = []


def prepare(word: str) -> None:
    state.append(word)


def seen() -> tuple[int, list[str]]:
    return os.getpid(), state


def fail() -> None:
    raise LookupError("not prepared")


def die() -> None:
    os._exit(3)


def await_end(pid: int) -> None:
    # psutil's own way to wait would take the process's end away from the executor.
    until = time.monotonic() + 20
    with contextlib.suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < until
            time.sleep(0.005)


def test_a_process_is_prepared_once_and_serves_again() -> None:
    with workers.processes(prepare, ("ready",), max_size=1) as pool:
        found = []
        for _ in range(3):
            with pool.lease() as worker:
                found.append(worker.submit(seen).result())
        assert found == [(found[0][0], ["ready"])] * 3
        assert found[0][0] != os.getpid()
        assert pool.stats().created == 1
    # Closing the pool ends them.
    await_end(found[0][0])


def test_a_process_killed_while_idle_is_noticed() -> None:
    with workers.processes(max_size=1) as pool:
        with pool.lease() as worker:
            pid = worker.submit(os.getpid).result()
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        await_end(pid)
        with pool.lease() as another:
            assert another.submit(os.getpid).result() != pid
        assert pool.stats().discards["broken"] == 1


def test_a_process_that_dies_is_reported_and_replaced() -> None:
    with workers.processes(max_size=1) as pool:
        with pytest.raises(BrokenProcessPool), pool.lease() as worker:
            worker.submit(die).result()
        with pool.lease() as another:
            assert another.submit(abs, -1).result() == 1
        assert pool.stats().created == 2


def test_a_failed_preparation_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    with workers.threads(fail, backoff=(0.001, 0.001)) as pool:
        for _ in range(2):
            with pytest.raises(BrokenThreadPool), pool.lease():
                pass
        assert pool.size == 0
    assert "not prepared" in caplog.text
    assert multiprocessing.active_children() == []


def test_a_thread_keeps_what_must_stay_in_it() -> None:
    own = threading.local()

    def prepare() -> None:
        own.maker, own.jobs = threading.get_ident(), 0

    def job() -> tuple[int, int]:
        own.jobs += 1
        assert threading.get_ident() == own.maker
        return own.maker, own.jobs

    def borrow(_: int) -> tuple[int, int]:
        with pool.lease() as worker:
            return worker.submit(job).result()

    threads = threading.active_count()
    with workers.threads(prepare, max_size=2) as pool:
        with ThreadPoolExecutor(6) as executor:
            jobs = list(executor.map(borrow, range(60)))
        assert len(set(jobs)) == 60
        assert len({maker for maker, _ in jobs}) == pool.stats().created <= 2
    assert threading.active_count() == threads
