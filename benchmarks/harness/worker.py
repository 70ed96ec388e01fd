"""A worker process that measures on request, and its protocol.

One JSON object a line in each direction. The parent sends ``{"do": "build" | "calibrate" | "sample" | "probe", ...}``,
the worker answers ``{"value": ...}`` or ``{"error": "..."}``. In a process of its own a contender starts on a fresh
heap, or on another allocator.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from benchmarks.harness.allocators import ALLOCATORS, OWN_GROUP, environment
from benchmarks.harness.sampling import Sample, calibrate, fastest_block
from benchmarks.workloads import PROBES, WORKLOADS

#: The child takes over the parent's import path, as ``multiprocessing`` does, so that both find the same bufpool.
_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from benchmarks.harness.worker import serve; serve()"

#: How long a worker may take to exit after the end of its input.
_EXIT_SECONDS = 30.0


def import_path() -> list[str]:
    """This process's import path for a child process, with the folder that `benchmarks` is in, all absolute."""
    folders = [*map(Path, sys.path), Path(__file__).parents[2]]
    return list(dict.fromkeys(str(folder.absolute()) for folder in folders))


class WorkerError(RuntimeError):
    """A worker process could not start, died, or reported an exception."""


class Worker:
    """The parent's end: starts a worker on the named allocator, sends requests, reads answers. A context manager.

    Starting takes a while, so the constructor does not wait: call `ready` before anything else.
    """

    def __init__(self, allocator: str = "default") -> None:
        self._name = f"worker on the {allocator} allocator"
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, json.dumps(import_path())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(allocator),
            text=True,
            **OWN_GROUP,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests: IO[str] = self._process.stdin
        self._answers: IO[str] = self._process.stdout
        self._library = ALLOCATORS[allocator].library

    def ready(self) -> None:
        """Wait until the worker is up, and check that it runs on its allocator.

        The loader only warns when it cannot preload a library; without this check we would measure glibc again.
        """
        self.receive()
        if self._library:
            maps = Path(f"/proc/{self._process.pid}/maps").read_text(encoding="utf-8")
            if f"lib{self._library}" not in maps:
                raise WorkerError(f"{self._name}: lib{self._library} was not loaded")

    def send(self, **request: Any) -> None:
        """Send a request, without waiting for the answer."""
        try:
            self._requests.write(json.dumps(request) + "\n")
            self._requests.flush()
        except BrokenPipeError as error:
            raise WorkerError(f"{self._name} ended with code {self._process.wait()}") from error

    def receive(self) -> Any:
        """The answer to the oldest open request; the first answer says that the worker is up."""
        line = self._answers.readline()
        if not line:
            raise WorkerError(f"{self._name} ended with code {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"{self._name} reported:\n{answer['error']}")
        return answer["value"]

    def ask(self, **request: Any) -> Any:
        """Send a request and wait for the answer."""
        self.send(**request)
        return self.receive()

    def send_build(self, name: str, workload: str, how: str, size: int) -> None:
        """Start building a contender, called `name`; `receive` returns when it is done."""
        self.send(do="build", name=name, workload=workload, how=how, size=size)

    def calibrate(self, name: str, seconds: float) -> int:
        """Warm the contender up; the number of iterations that takes about `seconds`."""
        return int(self.ask(do="calibrate", name=name, seconds=seconds))

    def sample(self, name: str, loops: int) -> float:
        """Seconds that `loops` iterations of the contender take."""
        return float(self.ask(do="sample", name=name, loops=loops))

    def close(self) -> None:
        """End the worker and wait for it."""
        with suppress(BrokenPipeError):  # a worker that died has left a request unread
            self._requests.close()
        try:
            self._process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):
            self._process.kill()  # on Ctrl-C, do not wait for the measurement to end
        self.close()


class _Server:
    """The worker's end: the contenders built so far, and a method for each request."""

    def __init__(self) -> None:
        self._samples: dict[str, Sample] = {}

    def build(self, name: str, workload: str, how: str, size: int) -> None:
        self._samples[name] = WORKLOADS[workload](how, size)

    def calibrate(self, name: str, seconds: float) -> int:
        return calibrate(self._samples[name], seconds)

    def sample(self, name: str, loops: int) -> float:
        sample = self._samples[name]
        if loops > 1:
            sample(1)  # the others ran in between: bring the caches back first
        gc.disable()  # as timeit does: a collection would slow down one contender by chance
        try:
            return fastest_block(sample, loops)
        finally:
            gc.enable()

    def probe(self, name: str, **arguments: Any) -> Any:
        return PROBES[name](**arguments)


def serve() -> None:
    """Answer requests until the input ends."""
    # The protocol has the standard output for itself; what libraries print goes to the error stream.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    server = _Server()

    def answer(**fields: Any) -> None:
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    answer(value="ready")
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer(value=getattr(server, request.pop("do"))(**request))
        except Exception:  # noqa: BLE001 - the parent raises it
            answer(error=traceback.format_exc())
    answers.close()
