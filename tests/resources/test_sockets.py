"""Connected sockets and streams, against servers on the loopback device."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import socketserver
import ssl
import struct
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bufpool import AsyncPool
from bufpool.resources import sockets
from tests.support.clients import Client
from tests.support.silent_peer import FLOOD, silent_peer


class Echo(socketserver.StreamRequestHandler):
    """Sends back each line. "bye" hangs up after the answer, "more" adds a line that nobody asked for."""

    def handle(self) -> None:
        self.server.peers.append(self.connection)
        for line in self.rfile:
            self.wfile.write(line + b"unasked\n" * (line == b"more\n"))
            if line == b"bye\n":
                return


class EchoServer(socketserver.ThreadingTCPServer):
    daemon_threads = False
    block_on_close = True

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.context = context
        self.peers: list[socket.socket] = []
        super().__init__(("127.0.0.1", 0), Echo)

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        if self.context:
            connection = self.context.wrap_socket(connection, server_side=True)
        return connection, address

    def handle_error(self, *connection: object) -> None:
        # Clients that cut their connection are what some tests are about; anything else fails the test.
        if not isinstance(sys.exc_info()[1], OSError):
            raise


@contextlib.contextmanager
def serve(server: EchoServer) -> Iterator[EchoServer]:
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server() -> Iterator[EchoServer]:
    with serve(EchoServer()) as server:
        yield server


def ask(connection: socket.socket, line: bytes) -> bytes:
    connection.sendall(line)
    answer = b""
    while len(answer) < len(line):
        part = connection.recv(len(line) - len(answer))
        assert part
        answer += part
    return answer


def await_word(connection: socket.socket) -> None:
    """Wait until something has come from the peer, its end for example."""
    assert select.select([connection], [], [], 20)[0]


def test_connections_are_shared_by_threads(server: EchoServer) -> None:
    def echo(i: int) -> None:
        with pool.lease() as connection:
            assert ask(connection, b"%d\n" % i) == b"%d\n" % i

    with sockets.connections(server.server_address, max_size=3) as pool:
        with ThreadPoolExecutor(8) as executor:
            list(executor.map(echo, range(100)))
        stats = pool.stats()
        assert stats.created <= 3
        assert not any(stats.discards.values())
        assert len(server.peers) == stats.created


def test_a_peer_that_hung_up_is_noticed(server: EchoServer) -> None:
    with sockets.connections(server.server_address, max_size=1) as pool:
        with pool.lease() as connection:
            assert ask(connection, b"bye\n") == b"bye\n"
            await_word(connection)
        with pool.lease() as another:
            assert another is not connection
            assert ask(another, b"again\n") == b"again\n"
        assert pool.stats().discards["broken"] == 1


def test_a_connection_that_was_reset_is_noticed(server: EchoServer) -> None:
    with sockets.connections(server.server_address, max_size=1) as pool:
        with pool.lease() as connection:
            ask(connection, b"hello\n")
        # Closed with this option, the peer's socket cuts the connection instead of ending it.
        linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        server.peers[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        server.peers[0].shutdown(socket.SHUT_RD)
        server.peers[0].close()
        await_word(connection)
        with pool.lease() as another:
            assert ask(another, b"again\n") == b"again\n"
        assert pool.stats().discards["broken"] == 1


def test_an_unread_answer_never_reaches_the_next(server: EchoServer) -> None:
    with sockets.connections(server.server_address, max_size=1) as pool:
        with pool.lease() as connection:
            assert ask(connection, b"more\n") == b"more\n"
            await_word(connection)
        with pool.lease() as another:
            assert ask(another, b"mine\n") == b"mine\n"
        assert pool.stats().discards["broken"] == 1


def test_a_connection_left_by_an_exception_is_closed(server: EchoServer) -> None:
    with sockets.connections(server.server_address, max_size=1) as pool:
        left = []

        def break_off() -> None:
            with pool.lease() as connection:
                left.append(connection)
                connection.sendall(b"half a li")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            break_off()
        assert left[0].fileno() == -1
        assert pool.size == 0


def test_the_time_to_wait_is_set_again(server: EchoServer) -> None:
    with sockets.connections(server.server_address, wait=7.0, max_size=1) as pool:
        for mine in (0.0, None):
            with pool.lease() as connection:
                assert connection.gettimeout() == 7.0
                connection.settimeout(mine)


def test_a_look_changes_nothing() -> None:
    one, other = socket.socketpair()
    with one, other:
        one.settimeout(3.0)
        assert sockets.is_quiet(one)
        assert one.gettimeout() == 3.0
        other.sendall(b"word")
        assert not sockets.is_quiet(one)
        assert one.gettimeout() == 3.0
    with pytest.raises(OSError, match=r"."):
        sockets.is_quiet(one)


def test_a_local_socket_is_made_by_a_function() -> None:
    peers = []

    def connect() -> socket.socket:
        ours, theirs = socket.socketpair()
        peers.append(theirs)
        return ours

    with sockets.connections(connect, max_size=1) as pool:
        with pool.lease():
            pass
        peers[0].close()
        with pool.lease() as connection:
            connection.sendall(b"word")
            assert peers[1].recv(4) == b"word"
    peers[1].close()


def test_connections_with_tls(certificate: Path) -> None:
    """After the handshake a TLS 1.3 server sends tickets, which are no word of the peer's."""
    ours, theirs = ssl.create_default_context(cafile=certificate), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate)
    with serve(EchoServer(theirs)) as server:

        def connect() -> socket.socket:
            plain = socket.create_connection(server.server_address, 20)
            return ours.wrap_socket(plain, server_hostname="127.0.0.1")

        with sockets.connections(connect, max_size=1) as pool:
            for line in (b"one\n", b"two\n", b"bye\n"):
                with pool.lease() as connection:
                    assert ask(connection, line) == line
            assert pool.stats().created == 1
            await_word(connection)
            with pool.lease() as connection:
                assert ask(connection, b"again\n") == b"again\n"
            assert pool.stats().discards["broken"] == 1


@pytest.mark.parametrize("tls", [False, True])
def test_a_silent_peer_delays_no_callback(tls: bool, request: pytest.FixtureRequest) -> None:
    certificate = request.getfixturevalue("certificate") if tls else None
    ours = ssl.create_default_context(cafile=certificate)
    with silent_peer(certificate) as address:

        def connect() -> socket.socket:
            plain = socket.create_connection(address, 20)
            return ours.wrap_socket(plain, server_hostname="127.0.0.1") if tls else plain

        def fill_and_close() -> None:
            with sockets.connections(connect, wait=0.2, max_size=1) as pool:
                connection = pool.acquire()
                with pytest.raises(TimeoutError):
                    connection.sendall(FLOOD)
                pool.release(connection)
                assert pool.acquire() is connection
                pool.discard(connection)
                assert connection.fileno() == -1

        Client(fill_and_close).result()  # in a thread: the fault would be a hang


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full backlog refuses connections")
def test_connecting_takes_no_longer_than_it_may() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, contextlib.ExitStack() as others:
        for _ in range(3):  # nobody accepts them: the next one gets no answer
            other = others.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(server.getsockname())

        def connect() -> None:
            with sockets.connections(server.getsockname(), wait=0.2) as pool, pytest.raises(TimeoutError):
                pool.acquire()

        Client(connect).result()  # in a thread: the fault would be a hang


# Streams -------------------------------------------------------------------------------------------------------------


async def ask_stream(stream: sockets.Stream, line: bytes) -> bytes:
    reader, writer = stream
    writer.write(line)
    return await reader.readline()


def in_loop(server: EchoServer, follow: Callable[..., object]) -> None:
    async def main() -> None:
        async with sockets.streams(server.server_address, max_size=2) as pool:
            await follow(pool)

    asyncio.run(main())


def test_streams_are_shared_by_tasks(server: EchoServer) -> None:
    async def follow(pool: AsyncPool[sockets.Stream]) -> None:
        async def echo(i: int) -> None:
            async with pool.lease() as stream:
                assert await ask_stream(stream, b"%d\n" % i) == b"%d\n" % i

        await asyncio.gather(*(echo(i) for i in range(50)))
        assert pool.stats().created <= 2
        assert not any(pool.stats().discards.values())

    in_loop(server, follow)


@pytest.mark.parametrize("line", [b"bye\n", b"more\n"])
def test_a_stream_that_ended_or_said_more_is_replaced(server: EchoServer, line: bytes) -> None:
    async def follow(pool: AsyncPool[sockets.Stream]) -> None:
        async with pool.lease() as stream:
            assert await ask_stream(stream, line) == line
            if line == b"bye\n":
                # Without a turn of the loop: the end of the stream still lies in the kernel.
                await_word(stream[1].get_extra_info("socket"))
        async with pool.lease() as another:
            assert another is not stream
            assert await ask_stream(another, b"mine\n") == b"mine\n"
        assert pool.stats().discards["broken"] == 1

    in_loop(server, follow)


def test_a_stream_left_by_an_exception_is_closed(server: EchoServer) -> None:
    async def follow(pool: AsyncPool[sockets.Stream]) -> None:
        with pytest.raises(TimeoutError):
            async with pool.lease() as stream, asyncio.timeout(0.01):
                await stream[0].readline()
        assert stream[1].is_closing()
        async with pool.lease() as another:
            assert await ask_stream(another, b"again\n") == b"again\n"

    in_loop(server, follow)


@contextlib.asynccontextmanager
async def silent_stream(
    certificate: Path | None,
) -> AsyncIterator[tuple[AsyncPool[sockets.Stream], sockets.Stream]]:
    ours = ssl.create_default_context(cafile=certificate) if certificate else None
    host = "127.0.0.1" if certificate else None
    with silent_peer(certificate) as address:

        async def connect() -> sockets.Stream:
            return await asyncio.open_connection(*address, ssl=ours, server_hostname=host)

        async with sockets.streams(connect, max_size=1) as pool:
            stream = await pool.acquire()
            try:
                yield pool, stream
            finally:
                stream[1].transport.abort()  # or a failure would be a hang


@pytest.mark.parametrize("end", ["discard", "close"])
@pytest.mark.parametrize("flood", [b"", FLOOD], ids=["idle", "flood"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_stream_to_a_silent_peer_is_aborted(
    tls: bool, flood: bytes, end: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "PATIENCE", 0.1)

    async def main(certificate: Path | None) -> None:
        async with asyncio.timeout(15), silent_stream(certificate) as (pool, stream):
            connection = stream[1].get_extra_info("socket")
            stream[1].write(flood)
            if end == "discard":
                await pool.discard(stream)
            else:
                await pool.release(stream)
                await pool.close()
            assert pool.size == 0
            assert connection.fileno() == -1

    asyncio.run(main(request.getfixturevalue("certificate") if tls else None))


def test_a_cancelled_client_does_not_wait_for_the_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "PATIENCE", 600.0)

    async def main() -> None:
        async with asyncio.timeout(15), silent_stream(None) as (pool, stream):
            connection = stream[1].get_extra_info("socket")
            stream[1].write(FLOOD)
            client = asyncio.ensure_future(pool.discard(stream))
            await asyncio.wait([client], timeout=0.05)
            client.cancel()
            with pytest.raises(asyncio.CancelledError):
                await client
            assert pool.size == 0
            assert connection.fileno() == -1

    asyncio.run(main())


def test_a_slow_peer_gets_all_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "PATIENCE", 20.0)
    received = []

    async def read_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        received.append(len(await reader.read()))
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(read_late, "127.0.0.1", 0)
        async with asyncio.timeout(60), server, sockets.streams(server.sockets[0].getsockname()) as pool:
            async with pool.lease() as (_, writer):
                writer.write(FLOOD)
            await pool.close()
            while not received:
                await asyncio.sleep(0.001)

    asyncio.run(main())
    assert received == [len(FLOOD)]
