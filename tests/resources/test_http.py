"""Connections of `http.client` to a server on the loopback device that keeps them alive."""

from __future__ import annotations

import http.client
import http.server
import select
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bufpool.resources import http as recipe
from tests.support.clients import Client
from tests.support.silent_peer import FLOOD, silent_peer


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or the body waits 40 ms for an acknowledgement of the head

    def do_GET(self) -> None:
        body = self.path.encode() * 10
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/last":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        # Without a word of warning, as servers do whose patience is over.
        self.close_connection = self.path in ("/last", "/hang-up")

    def setup(self) -> None:
        super().setup()
        self.server.peers.append(self.client_address)

    def log_message(self, *args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self) -> None:
        self.peers: list[object] = []
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, *connection: object) -> None:
        # Clients that cut their connection are what some tests are about; anything else fails the test.
        if not isinstance(sys.exc_info()[1], OSError):
            raise


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def base(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def get(connection: recipe.Connection, path: str) -> bytes:
    connection.request("GET", path)
    return connection.getresponse().read()


def test_connections_are_kept_alive(server: Server) -> None:
    def fetch(i: int) -> None:
        with pool.lease() as connection:
            assert get(connection, f"/{i}") == b"/%d" % i * 10

    with recipe.connections(base(server), max_size=3) as pool:
        with ThreadPoolExecutor(8) as executor:
            list(executor.map(fetch, range(100)))
        assert len(server.peers) == pool.stats().created <= 3


def test_a_server_that_hung_up_is_noticed(server: Server) -> None:
    with recipe.connections(base(server), max_size=1) as pool:
        with pool.lease() as connection:
            get(connection, "/hang-up")
            assert select.select([connection.sock], [], [], 20)[0]
        with pool.lease() as another:
            assert another is not connection
            assert get(another, "/a") == b"/a" * 10
        assert pool.stats().discards["broken"] == 1


def test_a_connection_announced_to_close_is_reopened(server: Server) -> None:
    with recipe.connections(base(server), max_size=1) as pool:
        for _ in range(3):
            with pool.lease() as connection:
                assert get(connection, "/last") == b"/last" * 10
        assert pool.stats().created == 1
    assert len(server.peers) == 3


@pytest.mark.parametrize("unread", ["all", "half", "unasked"])
def test_an_unread_answer_never_meets_the_next_request(server: Server, unread: str) -> None:
    with recipe.connections(base(server), max_size=1) as pool:
        with pool.lease() as connection:
            connection.request("GET", "/a")
            if unread != "unasked":
                connection.getresponse().read(3 if unread == "half" else 0)
        with pool.lease() as connection:
            assert get(connection, "/b") == b"/b" * 10
        assert pool.stats().created == 1
    assert len(server.peers) == 2


def test_an_interrupted_request_closes_its_connection(server: Server) -> None:
    with recipe.connections(base(server), max_size=1) as pool:

        def break_off() -> None:
            with pool.lease() as connection:
                connection.putrequest("GET", "/a")
                raise LookupError

        with pytest.raises(LookupError):
            break_off()
        assert pool.size == 0
        with pool.lease() as another:
            assert get(another, "/b") == b"/b" * 10


def test_a_server_that_is_not_there_is_told_by_the_request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with recipe.connections(f"http://127.0.0.1:{port}") as pool:
        with pytest.raises(ConnectionRefusedError), pool.lease() as connection:
            connection.request("GET", "/")
        assert pool.size == 0


@pytest.mark.parametrize("request_of", ["nothing", "answer", "flood"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_silent_server_delays_no_callback(
    scheme: str, request_of: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = request.getfixturevalue("certificate") if scheme == "https" else None
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with silent_peer(certificate) as address:

        def leave() -> None:
            with recipe.connections(f"{scheme}://127.0.0.1:{address[1]}", wait=5.0, max_size=1) as pool:
                connection = pool.acquire()
                connection.connect()
                assert connection.sock is not None
                connection.sock.settimeout(0.2)
                if request_of == "flood":
                    with pytest.raises(TimeoutError):
                        connection.request("POST", "/", FLOOD)
                elif request_of == "answer":
                    connection.request("GET", "/")
                    with pytest.raises(TimeoutError):
                        connection.getresponse()
                pool.release(connection)
                assert (connection.sock is None) == (request_of != "nothing")
                with pool.lease() as again:
                    assert again is connection
                    again.request("GET", "/")
                    pool.discard(again)
                assert connection.sock is None

        Client(leave).result()  # in a thread: the fault would be a hang


def test_the_scheme_chooses_the_kind() -> None:
    with recipe.connections("https://localhost", wait=5.0) as pool, pool.lease() as connection:
        assert isinstance(connection, http.client.HTTPSConnection)
        assert (connection.host, connection.port, connection.timeout) == ("localhost", 443, 5.0)
    for bad in ("localhost:80", "ftp://localhost", "http://"):
        with pytest.raises(ValueError, match="expected http://"):
            recipe.connections(bad)
