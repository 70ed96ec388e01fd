"""Open files, and other objects that need no recipe of their own: those are three lines of the documentation."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import bufpool
from bufpool.resources import files


def test_handles_are_handed_out_at_the_beginning(tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_bytes(bytes(range(256)))

    def read(at: int) -> bytes:
        with pool.lease() as file:
            assert file.tell() == 0
            file.seek(at)
            return file.read(2)

    with files.readers(path, max_size=3) as pool:
        with ThreadPoolExecutor(8) as executor:
            assert list(executor.map(read, range(200))) == [bytes([i, i + 1]) for i in range(200)]
        assert pool.stats().created <= 3


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not replace a file that is open")
def test_a_file_that_was_replaced_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_bytes(b"old")
    with files.readers(path, max_size=1) as pool:
        for expected in (b"old", b"old", b"new"):
            if expected == b"new":
                (tmp_path / "next").write_bytes(b"new")
                (tmp_path / "next").replace(path)
            with pool.lease() as file:
                assert file.read() == expected
        assert pool.stats().discards["broken"] == 1
        path.unlink()
        with pytest.raises(FileNotFoundError), pool.lease():
            pass


def test_a_scratch_file_is_handed_out_empty(tmp_path: Path) -> None:
    with files.scratch(folder=tmp_path, max_size=1) as pool:
        for _ in range(3):
            with pool.lease() as file:
                assert file.read() == b""
                file.write(b"x" * 100_000)
        with pool.lease() as file:
            assert os.fstat(file.fileno()).st_size == 0
        assert pool.stats().created == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_its_borrower_closed_is_replaced(tmp_path: Path) -> None:
    with files.scratch(folder=tmp_path, max_size=1) as pool:
        with pool.lease() as file, file:
            file.write(b"x")
        with pool.lease() as another:
            assert another.read() == b""
        assert pool.stats().discards["failed_reset"] == 1


def test_buffers_and_bytearrays() -> None:
    memory = bufpool.BufferPool()
    with bufpool.Pool(lambda: memory.buffer(1 << 16), max_size=2, close=bufpool.Buffer.release) as pool:
        with pool.lease() as one, pool.lease() as other:
            one[:4], other[:4] = b"ours", b"mine"
            assert (bytes(one[:4]), bytes(other[:4])) == (b"ours", b"mine")
        del one, other
    assert memory.stats().in_use_bytes == 0
    with bufpool.Pool(lambda: bytearray(16), max_size=1, check=lambda b: len(b) == 16) as pool:
        with pool.lease() as data:
            data += b"longer"
        with pool.lease() as data:
            assert len(data) == 16


def test_compressors_are_never_shared() -> None:
    """A compressor of zstandard must not be used by two threads at once, and costs more than compressing a little."""
    zstandard = pytest.importorskip("zstandard")
    texts = [f"line {i}\n".encode() * 1000 for i in range(100)]

    def compress(text: bytes) -> bytes:
        with pool.lease() as compressor:
            return compressor.compress(text)

    with bufpool.Pool(lambda: zstandard.ZstdCompressor(level=10), max_size=2) as pool:
        with ThreadPoolExecutor(6) as executor:
            packed = list(executor.map(compress, texts))
        assert pool.stats().created <= 2
    assert [zstandard.decompress(each) for each in packed] == texts
