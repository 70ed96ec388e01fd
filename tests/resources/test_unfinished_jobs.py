"""Workers that come back before their jobs have ended, or do not answer: replaced, with nothing left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import CancelledError, Executor, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import psutil
import pytest

from bufpool.errors import SettingError
from bufpool.resources import workers
from tests.support.programs import Programs

LONG = 20.0  # seconds that a job takes which nobody waits for


def refuse_to_end(told: Path) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    told.touch()
    time.sleep(LONG)


def start_thread_that_stays() -> int:
    threading.Thread(target=time.sleep, args=(LONG,)).start()
    return os.getpid()


def pid_of(worker: Executor) -> int:
    return worker.submit(os.getpid).result()


def is_running(job: Future[Any]) -> bool:
    until = time.monotonic() + 20
    while not job.running():
        assert time.monotonic() < until
        time.sleep(0.005)
    return True


def test_a_process_with_a_job_is_replaced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 600.0)  # it is not for a worker with a job
    with workers.processes(max_size=1) as pool:
        with pool.lease() as worker:
            pid = pid_of(worker)
            job = worker.submit(time.sleep, LONG)
            queued = [worker.submit(abs, -1) for _ in range(9)]
            with pytest.raises(TimeoutError):
                job.result(timeout=0.05)
        # It is dead, and no zombie; and all of its jobs have ended.
        assert not psutil.pid_exists(pid)
        with pytest.raises(BrokenProcessPool):
            job.result(timeout=0)
        for each in queued:
            with pytest.raises((BrokenProcessPool, CancelledError)):
                each.result(timeout=0)
        with pool.lease() as another:
            assert pid_of(another) != pid
        assert {why: times for why, times in pool.stats().discards.items() if times} == {"failed_reset": 1}
    assert "a client returned the worker with 10 unfinished jobs; it is replaced" in caplog.text


def test_a_process_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(workers, "GRACE", 0.1)
    with workers.processes(max_size=1) as pool:
        worker = pool.acquire()
        pid = pid_of(worker)
        assert is_running(worker.submit(refuse_to_end, tmp_path / "ignores it"))
        until = time.monotonic() + 20
        while not (tmp_path / "ignores it").exists() and time.monotonic() < until:
            time.sleep(0.01)
        pool.discard(worker)
        assert not psutil.pid_exists(pid)


def test_a_job_that_ended_leaves_its_process() -> None:
    with workers.processes(max_size=1) as pool:
        pids = []
        for how in ("fetched", "not fetched", "failed", "cancelled"):
            with pool.lease() as worker:
                pids.append(pid_of(worker))
                if how == "not fetched":
                    worker.submit(abs, -1).exception()
                elif how == "failed":
                    assert isinstance(worker.submit(abs, "no number").exception(), TypeError)
                elif how == "cancelled":
                    jobs = [worker.submit(time.sleep, 0.02) for _ in range(5)]
                    assert jobs[-1].cancel()
                    assert [job.result() for job in jobs[:-1]] == [None] * 4
        assert len(set(pids)) == pool.stats().created == 1


def test_a_thread_with_a_job_is_set_aside(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 600.0)
    may_end = threading.Event()
    threads = threading.active_count()
    with workers.threads(max_size=1) as pool:
        with pool.lease() as worker:
            job = worker.submit(may_end.wait, LONG)
            queued = worker.submit(abs, -1)
            assert is_running(job)
        assert queued.cancelled()
        with pool.lease() as another:
            assert another is not worker
            assert another.submit(abs, -1).result() == 1
            left = another.submit(may_end.wait, LONG)
            assert is_running(left)
    # The pool is closed, and their jobs still run.
    assert job.running()
    assert left.running()
    may_end.set()
    assert job.result(20)
    assert left.result(20)
    until = time.monotonic() + 20
    while threading.active_count() > threads:
        assert time.monotonic() < until
        time.sleep(0.005)
    assert "a client returned the worker with 2 unfinished jobs; it is replaced" in caplog.text


def test_a_job_that_ended_leaves_its_thread() -> None:
    may_end = threading.Event()
    with workers.threads(max_size=1) as pool:
        for _ in range(2):
            with pool.lease() as worker:
                job, cancelled = worker.submit(may_end.wait, 60), worker.submit(abs, -1)
                assert cancelled.cancel()
                may_end.set()
                assert job.exception() is None
                assert isinstance(worker.submit(abs, "no number").exception(), TypeError)
        assert pool.stats().created == 1


@pytest.mark.parametrize("kind", ["processes", "threads"])
def test_a_worker_that_got_a_job_while_idle(kind: str) -> None:
    """A client keeps the worker that it has returned, and gives it a job."""
    with getattr(workers, kind)(max_size=1) as pool:
        with pool.lease() as worker:
            pass
        job = worker.submit(time.sleep, 3)
        assert is_running(job)
        with pool.lease() as another:
            assert another is not worker
        if kind == "threads":
            assert job.running()
        else:
            assert isinstance(job.exception(timeout=0), BrokenProcessPool)
        assert pool.stats().discards["broken"] == 1


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes cannot be suspended")
def test_an_idle_process_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with workers.processes(max_size=1) as pool:
        with pool.lease() as worker:
            pid = pid_of(worker)
        os.kill(pid, signal.SIGSTOP)
        monkeypatch.setattr(workers, "PATIENCE", 0.2)
        monkeypatch.setattr(workers, "GRACE", 0.1)
        go_on = threading.Timer(LONG, os.kill, (pid, signal.SIGCONT))  # or a failure would be a hang
        go_on.start()
        with pool.lease() as another:
            assert pid_of(another) != pid
        go_on.cancel()
        go_on.join()
        assert not psutil.pid_exists(pid)
        assert pool.stats().discards["broken"] == 1
    assert "the worker has no job, but did not answer for 0.2 s" in caplog.text


def test_a_process_that_does_not_exit_is_terminated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python waits for threads at its exit, also in a worker process."""
    monkeypatch.setattr(workers, "PATIENCE", 0.2)
    pool = workers.processes(max_size=1)
    with pool.lease() as worker:
        pid = worker.submit(start_thread_that_stays).result()
    assert psutil.pid_exists(pid)
    began = time.monotonic()
    pool.close()
    assert time.monotonic() - began < LONG / 2
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("kind", ["processes", "threads"])
def test_a_worker_that_its_client_shut_down(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with getattr(workers, kind)(max_size=1) as pool:
        with pool.lease() as worker:
            pid = pid_of(worker)
            worker.shutdown()
        with pool.lease() as another:
            assert another.submit(abs, -1).result() == 1
        assert kind == "threads" or not psutil.pid_exists(pid)
        assert pool.stats().discards["broken"] == 1
    assert "cannot schedule new futures after shutdown" in caplog.text
    assert "closing an object failed" not in caplog.text


@pytest.mark.parametrize("kind", ["processes", "threads"])
def test_the_pool_waits_for_jobs_if_told_to(kind: str, tmp_path: Path) -> None:
    with getattr(workers, kind)(max_size=1, unfinished="wait") as pool:
        for name in ("first", "second"):
            with pool.lease() as worker:
                worker.submit(time.sleep, 0.1)
                worker.submit((tmp_path / name).touch)
            assert not (tmp_path / name).exists()
            if name == "first":
                with pool.lease():
                    assert (tmp_path / name).exists()
        assert pool.stats().created == 1
    # Closing the pool waits, too.
    assert (tmp_path / "second").exists()


def test_another_word_for_unfinished_is_refused() -> None:
    with pytest.raises(SettingError, match="unfinished must be one of replace, wait, not 'kill'"):
        workers.threads(unfinished="kill", name="mine")
    with pytest.raises(SettingError, match="pool 'mine'"):
        workers.processes(unfinished=True, name="mine")


def test_a_process_that_ended_right_after_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "active_children", list)
    with workers.processes(max_size=1) as pool:
        with pytest.raises(BrokenProcessPool, match="ended right after its start"):
            pool.acquire()
        assert pool.size == 0


# What becomes of a process that is ended in the middle of something: it must leave no process, thread, descriptor or
# semaphore behind, nobody may write to the error stream, and the program must end.
PROGRAM = """
import concurrent.futures, logging, os, signal, sys, threading, time

import psutil

from bufpool.resources import workers


def stop_in_the_middle(size):
    \"\"\"Return a result, but suspend this process while it writes it.\"\"\"
    main = threading.main_thread().ident

    def watch():
        while True:
            frame = sys._current_frames()[main]
            if frame.f_code.co_name == "_send" and len(frame.f_locals["buf"]) >= size:
                break
            time.sleep(0.0001)
        time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGSTOP)

    threading.Thread(target=watch, daemon=True).start()
    return bytes(size)


def cancelled(worker):
    \"\"\"Client cancels most of its jobs, as `map` does after a time-out.\"\"\"
    try:
        list(worker.map(time.sleep, [600] * 100, timeout=0.2))
    except TimeoutError:
        return
    raise AssertionError


def at_once(worker):
    worker.submit(time.sleep, 600)


def arguments(worker):
    \"\"\"The arguments of the second job do not fit into the pipe, so that a thread waits in the middle of them.\"\"\"
    worker.submit(time.sleep, 600)
    worker.submit(len, bytes(1 << 24))
    time.sleep(0.2)


def result(worker):
    \"\"\"The process has written half of a result.\"\"\"
    pid = worker.submit(os.getpid).result()
    job = worker.submit(stop_in_the_middle, 1 << 27)
    until = time.monotonic() + 60
    while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < until
        time.sleep(0.001)
    time.sleep(0.2)
    assert not job.done()


def left():
    \"\"\"What this process has: threads, children, descriptors, semaphores.\"\"\"
    me = psutil.Process()
    files, semaphores = 0, 0
    if os.path.exists("/proc/self/maps"):
        files = len(os.listdir("/proc/self/fd"))
        with open("/proc/self/maps") as maps:
            semaphores = sum("/sem.mp-" in line for line in maps)
    children = [child.pid for child in me.children() if "resource_tracker" not in " ".join(child.cmdline())]
    return threading.active_count(), children, files, semaphores


def main(how):
    logging.getLogger("bufpool").setLevel(logging.ERROR)
    workers.GRACE = 0.3 if how is result else 60.0  # a process that is stopped ignores SIGTERM
    with workers.processes(max_size=1) as pool, pool.lease():
        pass
    before = left()
    pool = workers.processes(max_size=1)
    for _ in range(2):
        with pool.lease(timeout=30) as worker:
            how(worker)
        del worker
    pool.close()
    until = time.monotonic() + 20
    while left() != before:
        if time.monotonic() > until:
            print(before, left(), threading.enumerate(), flush=True)
            os._exit(1)
        time.sleep(0.01)


if __name__ == "__main__":
    main(globals()[sys.argv[1]])
    print("the end")
"""


@pytest.mark.parametrize("how", ["cancelled", "at_once", "arguments", "result"])
def test_an_ended_process_leaves_nothing_behind(how: str, programs: Programs) -> None:
    if how == "result" and not hasattr(signal, "SIGSTOP"):
        pytest.skip("processes cannot be suspended")
    ran = programs.python(programs.write("program.py", PROGRAM), how)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "the end\n", "")


def test_a_thread_with_a_job_delays_only_the_exit(programs: Programs) -> None:
    """As with any executor: the program ends when the job does."""
    program = """
        import logging, threading, time
        from bufpool.resources import workers

        logging.getLogger("bufpool").setLevel(logging.ERROR)
        pool = workers.threads(max_size=1)
        with pool.lease() as worker:
            job = worker.submit(lambda: (time.sleep(0.5), print("the job ends")))
            while not job.running():
                time.sleep(0.01)
        pool.close()
        print("the pool is closed")
        """
    ran = programs.python(programs.write("program.py", program))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "the pool is closed\nthe job ends\n", "")
