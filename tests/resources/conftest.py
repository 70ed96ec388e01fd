"""What tests of several recipes need."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres_server import Server, psycopg_or_skip


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of the loopback device, with its key."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl here to make a certificate")
    path = tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path, "-out", path),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return path


@pytest.fixture
def psycopg() -> Any:
    return psycopg_or_skip()


@pytest.fixture
def admin(psycopg: Any, postgres: Server) -> Iterator[Any]:
    """A connection outside of any pool, and an empty table."""
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS event")
        connection.execute("CREATE TABLE event (what TEXT)")
        yield connection
