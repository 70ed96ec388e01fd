"""Connections of `http.client`, kept alive from one request to the next."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from operator import methodcaller
from typing import Any, Unpack
from urllib.parse import urlsplit

from bufpool.objects.pool import Pool
from bufpool.objects.settings import Settings
from bufpool.resources.sockets import is_quiet

__all__ = ["Connection", "SecureConnection", "connections"]


class Connection(HTTPConnection):
    """An `http.client.HTTPConnection` that knows whether its last answer was read: only then can it serve the next.

    Examples
    --------
    >>> from bufpool.resources import http
    >>> connection = http.Connection("127.0.0.1", 8080)
    >>> connection.is_usable()                              # it connects with the first request
    True
    """

    _answer: HTTPResponse | None = None
    _asked = False

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        """Begin a request."""
        self._asked = True
        super().putrequest(*args, **kwargs)

    def getresponse(self) -> HTTPResponse:
        """Give the answer to the request."""
        self._answer = super().getresponse()
        self._asked = False
        return self._answer

    def close(self) -> None:
        """Close the socket. The next request opens another one."""
        super().close()
        self._asked, self._answer = False, None

    def settle(self) -> None:
        """Close the socket if an answer is due on it, or has not been read to its end."""
        if self._asked or (self._answer is not None and not self._answer.isclosed()):
            self.close()

    def is_usable(self) -> bool:
        """Say whether a request can be sent: the server has not hung up."""
        return self.sock is None or is_quiet(self.sock)


class SecureConnection(Connection, HTTPSConnection):
    """The same with TLS."""


def connections(
    base: str, *, wait: float | None = 30.0, **settings: Unpack[Settings[Connection]]
) -> Pool[Connection]:
    """Pool of connections to one HTTP server.

    A checkout replaces a connection that the server has closed. The server may still close it while you send a request,
    so repeat requests that are safe to repeat.

    Parameters
    ----------
    base
        Scheme, host and port: ``"https://example.org"``.
    wait
        Seconds that connecting, and each operation on the socket, may take; ``None`` for ever.
    **settings
        Any setting of `bufpool.Pool`.

    Examples
    --------
    >>> from bufpool.resources import http
    >>> pool = http.connections("http://127.0.0.1:8080", max_size=4)
    >>> with pool.lease() as connection:                    # connects with the first request
    ...     connection.port
    8080
    >>> pool.close()
    """
    url = urlsplit(base)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"expected http:// or https:// and a host, not {base!r}")
    host, kind = url.hostname, SecureConnection if url.scheme == "https" else Connection

    def start() -> Connection:
        return kind(host, url.port, timeout=wait)

    own: Settings[Connection] = {
        "check": Connection.is_usable,
        "reset": Connection.settle,
        "close": methodcaller("close"),
        # The request may be half sent, the answer half read.
        "discard_on": BaseException,
    }
    return Pool(start, **own | settings)
