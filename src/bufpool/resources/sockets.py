"""Connected sockets: one whose peer has gone, or has said what nobody asked for, is not handed out."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from operator import methodcaller
from ssl import SSLWantReadError
from typing import TypeAlias, Unpack

from bufpool.objects.async_pool import AsyncPool
from bufpool.objects.pool import Pool
from bufpool.objects.settings import Settings

__all__ = ["Stream", "connections", "is_quiet", "is_quiet_stream", "streams"]

PATIENCE = 0.5  # seconds that the peer of a closed stream may take to read what is on its way, and to end TLS

Stream: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def connections(
    address: tuple[str, int] | Callable[[], socket.socket],
    *,
    wait: float | None = 10.0,
    **settings: Unpack[Settings[socket.socket]],
) -> Pool[socket.socket]:
    """Pool of connected sockets for threads.

    Return a socket only between two messages, when every answer has been read. If an exception leaves the ``with``
    block, the socket is closed, because a message may be incomplete.

    Parameters
    ----------
    address
        Host and port for TCP; or a function that gives a connected socket: a local one, one with TLS.
    wait
        Seconds that connecting, and each operation on the socket, may take; ``None`` for ever. A borrower's own
        `settimeout` holds until the socket comes back.
    **settings
        Settings of `bufpool.Pool`. They replace those that this function makes.

    Examples
    --------
    >>> import socket
    >>> from bufpool.resources import sockets
    >>> server = socket.create_server(("127.0.0.1", 0))
    >>> with sockets.connections(server.getsockname(), max_size=4) as pool:
    ...     with pool.lease() as connection:
    ...         peer, _ = server.accept()
    ...         peer.sendall(b"hello")
    ...         connection.recv(5)
    b'hello'
    >>> peer.close(); server.close()
    """
    connect = address if callable(address) else partial(socket.create_connection, address, wait or None)

    def start() -> socket.socket:
        connection = connect()
        connection.settimeout(wait)
        return connection

    def reset(connection: socket.socket) -> None:
        connection.settimeout(wait)

    own: Settings[socket.socket] = {
        "check": is_quiet,
        "reset": reset,
        "close": methodcaller("close"),
        "discard_on": BaseException,
    }
    return Pool(start, **own | settings)


def is_quiet(connection: socket.socket) -> bool:
    """Say whether an idle connection can be used: its peer has neither hung up nor sent anything.

    The look does not wait. A peer that vanished without a word, its machine switched off say, is not noticed.

    Parameters
    ----------
    connection : socket.socket
        Connected; its time-out stays as it is.

    Examples
    --------
    >>> import socket
    >>> from bufpool.resources import sockets
    >>> here, there = socket.socketpair()
    >>> sockets.is_quiet(here)
    True
    >>> there.close()
    >>> sockets.is_quiet(here)
    False
    >>> here.close()
    """
    wait = connection.gettimeout()
    connection.setblocking(False)
    try:
        # Not a mere peek: TLS has none, and what comes here makes the connection useless.
        connection.recv(1)
    except (BlockingIOError, SSLWantReadError):
        return True
    except OSError:
        return False
    finally:
        connection.settimeout(wait)
    # No byte is the end of the stream; a byte is the answer to a question of somebody before.
    return False


def streams(
    address: tuple[str, int] | Callable[[], Awaitable[Stream]], **settings: Unpack[Settings[Stream]]
) -> AsyncPool[Stream]:
    r"""Pool of asyncio's streams, pairs of a reader and a writer, under the same rules as `connections`.

    When a stream is closed, its peer has half a second to read what is still on its way, and to end TLS. Then the
    connection is aborted, so that a peer that fell silent delays nobody for longer.

    Parameters
    ----------
    address
        Host and port for TCP; or a function whose result is awaited: ``functools.partial(asyncio.open_connection, …)``.
    **settings
        Any setting of `bufpool.AsyncPool`.

    Examples
    --------
    >>> import asyncio
    >>> from bufpool.resources import sockets
    >>> async def echo(reader, writer):
    ...     while line := await reader.readline():
    ...         writer.write(line)
    ...     writer.close()
    >>> async def main():
    ...     server = await asyncio.start_server(echo, "127.0.0.1", 0)
    ...     async with server, sockets.streams(server.sockets[0].getsockname()) as pool:
    ...         async with pool.lease() as (reader, writer):
    ...             writer.write(b"hello\n")
    ...             return await reader.readline()
    >>> asyncio.run(main())
    b'hello\n'
    """
    connect = address if callable(address) else partial(asyncio.open_connection, *address)
    own: Settings[Stream] = {"check": is_quiet_stream, "close": _close_stream, "discard_on": BaseException}
    return AsyncPool(connect, **own | settings)


async def is_quiet_stream(stream: Stream) -> bool:
    """Say whether an idle stream can be used, as `is_quiet` does for a socket.

    Parameters
    ----------
    stream : Stream
        A reader and its writer, of the loop that runs.
    """
    reader, _ = stream
    # The loop reads in the background: a round to look at the sockets, and one to take what is there.
    for _ in range(2):
        await asyncio.sleep(0)
    read = reader.read(1)
    try:
        read.send(None)
    except StopIteration:  # an end or a byte was there already
        return False
    read.close()
    return True


async def _close_stream(stream: Stream) -> None:
    _, writer = stream
    writer.close()
    closed = asyncio.ensure_future(writer.wait_closed())
    try:
        # A silent peer would keep this waiting: for ever if it does not read, for 30 s if it does not end TLS.
        await asyncio.wait([closed], timeout=PATIENCE)
    finally:
        writer.transport.abort()  # does nothing to a connection that is closed
        with suppress(OSError):  # closing a connection that the peer has cut
            await closed
