"""Open files: of one to read, and temporary ones to write."""

from __future__ import annotations

import os
import tempfile
from operator import methodcaller
from pathlib import Path
from typing import IO, BinaryIO, Unpack

from bufpool.objects.pool import Pool
from bufpool.objects.settings import Settings

__all__ = ["readers", "scratch"]


def readers(path: str | os.PathLike[str], **settings: Unpack[Settings[BinaryIO]]) -> Pool[BinaryIO]:
    """Pool of handles of one file, each with a position of its own, opened to read bytes.

    Each checkout starts at the beginning of the file. If the file was replaced, by a rename for example, the next
    borrower gets a handle of the new file.

    Parameters
    ----------
    path
        The file.
    **settings
        Any setting of `bufpool.Pool`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from bufpool.resources import files
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "table.bin")
    >>> _ = path.write_bytes(b"abcdef")
    >>> with files.readers(path) as pool:
    ...     with pool.lease() as one, pool.lease() as other:
    ...         one.seek(4), one.read(), other.read(2)
    (4, b'ef', b'ab')
    >>> folder.cleanup()
    """
    path = Path(path)

    def start() -> BinaryIO:
        return path.open("rb")

    def check(file: BinaryIO) -> bool:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())

    def reset(file: BinaryIO) -> None:
        file.seek(0)

    own: Settings[BinaryIO] = {"check": check, "reset": reset, "close": methodcaller("close")}
    return Pool(start, **own | settings)


def scratch(
    *, folder: str | os.PathLike[str] | None = None, **settings: Unpack[Settings[IO[bytes]]]
) -> Pool[IO[bytes]]:
    """Pool of temporary files to write and to read again, handed out empty.

    Parameters
    ----------
    folder
        Where they lie; else where the system puts such files.
    **settings
        Any setting of `bufpool.Pool`.

    Examples
    --------
    >>> from bufpool.resources import files
    >>> with files.scratch() as pool:
    ...     for text in b"first", b"2nd":
    ...         with pool.lease() as file:
    ...             _ = file.write(text)
    ...             _ = file.seek(0)
    ...             file.read()
    b'first'
    b'2nd'
    """

    def start() -> IO[bytes]:
        return tempfile.TemporaryFile(dir=folder)

    def reset(file: IO[bytes]) -> None:
        file.seek(0)
        file.truncate()

    own: Settings[IO[bytes]] = {"reset": reset, "close": methodcaller("close")}
    return Pool(start, **own | settings)
