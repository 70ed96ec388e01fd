"""A server that accepts each connection, and TLS on it, and is silent from then on: it neither reads nor answers."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

#: More than the buffers of both sides can hold.
FLOOD = bytes(1 << 25)


@contextlib.contextmanager
def silent_peer(certificate: Path | None) -> Iterator[tuple[str, int]]:
    """Give the address of such a server; with a certificate, it speaks TLS."""
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    over = threading.Event()
    with contextlib.ExitStack() as peers:
        server = peers.enter_context(socket.create_server(("127.0.0.1", 0)))
        server.settimeout(0.05)

        def accept() -> None:
            while not over.is_set():
                with contextlib.suppress(OSError):  # nobody came, or went away again
                    peer, _ = server.accept()
                    peers.enter_context(peer)
                    peer.settimeout(20)
                    if context:
                        peers.enter_context(context.wrap_socket(peer, server_side=True))

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()
        finally:
            over.set()
            thread.join()
