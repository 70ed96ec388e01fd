"""A PostgreSQL server of the tests' own: made, started and stopped by them, reached through a socket in its folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.checkout import short_folder

START, STOP = 60.0, 30.0  # seconds that a slow machine may take
OWNERS = ("postgres", "nobody")  # who may run it, where we are root and it refuses


class Server(NamedTuple):
    """A server that runs."""

    folder: Path

    @property
    def dsn(self) -> str:
        return f"host={self.folder} dbname=postgres user=tester"

    @property
    def url(self) -> str:
        """The same for SQLAlchemy."""
        return f"postgresql+psycopg://tester@/postgres?host={self.folder}"


@contextlib.contextmanager
def serve() -> Iterator[Server]:
    """A fresh server, or a skip that says what is missing."""
    psycopg = psycopg_or_skip()
    initdb, postgres = _program("initdb"), _program("postgres")
    owner = _owner()
    # The owner must reach it, and pytest's folders are closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="bufpool-", dir=short_folder()))
    try:
        if owner:
            shutil.chown(folder, owner["user"], owner["group"])
        _run(initdb, "--username=tester", "--auth=trust", "--no-sync", "-D", folder / "data", **owner)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [postgres, "-D", folder / "data", "-k", folder, "-F", "-c", "listen_addresses="],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                **owner,
            )
        try:
            server = Server(folder)
            _await(process, lambda: psycopg.connect(server.dsn).close(), psycopg.OperationalError)
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # its "fast" shutdown: clients are cut off
            try:
                process.wait(STOP)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)  # at once, its children too
                process.wait(STOP)
    finally:
        shutil.rmtree(folder)


def psycopg_or_skip() -> Any:
    # Its pure form raises an ImportError of its own where the system has no libpq.
    return pytest.importorskip("psycopg", exc_type=ImportError)


def _program(name: str) -> str:
    # Debian and its kin keep those of the server off the PATH.
    places = [*os.get_exec_path(), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None or os.name != "posix":
        pytest.skip(f"no PostgreSQL server here: there is no {name}")
    return found


def _owner() -> dict[str, Any]:
    """How to start a program as somebody who may run a server; nothing to do unless we are root."""
    if os.getuid():
        return {}
    import pwd

    for name in OWNERS:
        with contextlib.suppress(KeyError):
            return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}
    pytest.skip(f"a server does not run as root, and there is no user {' or '.join(OWNERS)}")


def _run(*command: Any, **owner: Any) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=START, cwd=command[-1].parent, check=False, **owner
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _await(process: subprocess.Popen[bytes], attempt: Any, failure: type[Exception]) -> None:
    """Try until the server answers."""
    until = time.monotonic() + START
    while True:
        assert process.poll() is None, "the server ended"
        try:
            return attempt()
        except failure:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
