"""SQLAlchemy on a `bufpool.Pool`: ``create_engine(url, poolclass=BufpoolPool)``."""

from __future__ import annotations

from operator import methodcaller
from typing import Any

from sqlalchemy import exc, pool

from bufpool._words import plural
from bufpool.errors import ClosedError, PoolExhaustedError, PoolTimeoutError, ReentrantError
from bufpool.objects.pool import Pool
from bufpool.objects.settings import Settings

__all__ = ["BufpoolPool"]


class BufpoolPool(pool.Pool):
    """A `poolclass` for `create_engine`: SQLAlchemy looks after the connections, `bufpool.Pool` lends them.

    Checks (``pool_pre_ping``), replacement of old or broken connections (``pool_recycle``), the rollback on return and
    all events are SQLAlchemy's, unchanged. The pool decides who waits, how long and in which order. It is
    ``engine.pool.connections``: use its `stats` and `resize`.

    Errors are SQLAlchemy's. A full pool raises `sqlalchemy.exc.TimeoutError`. While the server is down, a client that
    needs a new connection gets `sqlalchemy.exc.OperationalError` as soon as the driver raises it. `create_async_engine`
    gets `sqlalchemy.exc.ArgumentError`: waiting would block its event loop. The pool logs to
    ``sqlalchemy.pool.BufpoolPool``.

    Parameters
    ----------
    creator
        Makes a connection. `create_engine` sets it.
    pool_size : int
        Maximum number of connections. There is no `max_overflow`: 15 here replaces 5 and 10 of ``QueuePool``. Set
        `max_idle` in `pool_settings` to close connections that stay idle.
    timeout : float
        Seconds to wait for one (``pool_timeout=`` of `create_engine`).
    use_lifo : bool
        Whether the connection used last goes first (``pool_use_lifo=``).
    pool_settings : mapping
        Other settings of `bufpool.Pool`: ``{"fair": True, "max_idle": 300}``. ``{"overflow": "create"}`` is what
        SQLAlchemy calls ``max_overflow=-1``: at `pool_size` further ones are made, and closed when they come back.
        ``{"backoff": (0.05, 10)}`` spares a server that is down: clients then wait for the next attempt.
    **kw
        As for `sqlalchemy.pool.Pool`.
    """

    _is_asyncio = False  # pyright: ignore[reportAssignmentType]
    # Without it the logger has the name of this module, and what users set for "sqlalchemy.pool" does not reach it.
    _sqla_logger_namespace = "sqlalchemy.pool.BufpoolPool"

    def __init__(
        self,
        creator: Any,
        pool_size: int = 10,
        timeout: float = 30.0,
        use_lifo: bool = True,
        pool_settings: Settings[pool.ConnectionPoolEntry] | None = None,
        **kw: Any,
    ) -> None:
        super().__init__(creator, **kw)
        if self._dialect.is_async:
            raise exc.ArgumentError(
                "BufpoolPool cannot be used with create_async_engine, because it blocks the event loop while it waits: "
                "leave out poolclass there, or give sqlalchemy.pool.AsyncAdaptedQueuePool"
            )
        self._own: dict[str, Any] = {
            "pool_size": pool_size,
            "timeout": timeout,
            "use_lifo": use_lifo,
            "pool_settings": pool_settings,
        }
        own: Settings[pool.ConnectionPoolEntry] = {
            "max_size": pool_size,
            "timeout": timeout,
            "lifo": use_lifo,
            "name": self._orig_logging_name,
            "close": methodcaller("close"),
            "backoff": None,  # users of SQLAlchemy expect the driver's error, not a time-out
        }
        self.connections: Pool[pool.ConnectionPoolEntry] = Pool(
            self._create_connection, **own | (pool_settings or {})
        )

    def _do_get(self) -> pool.ConnectionPoolEntry:
        try:
            return self.connections.acquire()
        except (PoolTimeoutError, PoolExhaustedError) as error:
            raise exc.TimeoutError(str(error)) from error
        except (ClosedError, ReentrantError) as error:
            raise exc.InvalidRequestError(str(error)) from error

    def _do_return_conn(self, record: pool.ConnectionPoolEntry) -> None:
        self.connections.release(record)

    def dispose(self) -> None:
        """Close what is idle now, and the rest when it comes back."""
        self.connections.drain()
        self.logger.info("Pool disposed. %s", self.status())

    def recreate(self) -> BufpoolPool:
        """Give an empty pool with the same settings, as SQLAlchemy asks for it after `dispose`."""
        self.logger.info("Pool recreating")
        return type(self)(
            self._creator,
            recycle=self._recycle,
            echo=self.echo,
            logging_name=self._orig_logging_name,
            reset_on_return=self._reset_on_return,
            pre_ping=self._pre_ping,
            dialect=self._dialect,
            _dispatch=self.dispatch,
            **self._own,
        )

    def status(self) -> str:
        """Say in a line how many connections there are, and what they do."""
        seen, most = self.connections.stats(), self.connections.max_size
        return (
            f"{seen.size} of {most} {plural(most, 'connection')}: {seen.idle} idle, {seen.in_use} in use"
        )
