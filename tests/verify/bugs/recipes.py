"""Bugs of the recipes for pooled resources."""

from __future__ import annotations

from tests.verify.bug import Bug, Suite

TRANSACTIONS = "resources/_transactions.py"
DBAPI, SOCKETS, HTTP = (f"resources/{name}.py" for name in ("dbapi", "sockets", "http"))
WORKERS, FILES, SQLALCHEMY = (f"resources/{name}.py" for name in ("workers", "files", "sqlalchemy"))

RECIPES = (
    Bug(
        "what nobody committed is kept",
        DBAPI,
        "        is_open = is_left_open(connection)\n        connection.rollback()\n",
        "        is_open = is_left_open(connection)\n        connection.commit()\n",
        Suite("resources/test_dbapi.py -k keeps_what_is_committed"),
    ),
    Bug(
        "a SQLite connection serves its maker alone",
        DBAPI,
        '**{**(options or {}), "check_same_thread": False}',
        "**(options or {})",
        Suite("resources/test_dbapi.py -k a_sqlite_connection_serves_other_threads"),
    ),
    Bug(
        "a check leaves its transaction open",
        DBAPI,
        "begun a transaction.\n            connection.rollback()\n",
        "begun a transaction.\n",
        Suite("resources/test_dbapi.py -k a_check_begins_no_needless_transaction"),
    ),
    Bug(
        "a check turns autocommit on within a transaction",
        DBAPI,
        "return is_idle(connection) and connection.autocommit is False",
        "return hasattr(connection, 'info') and connection.autocommit is False",
        Suite("resources/test_dbapi.py -k a_check_begins_no_needless_transaction"),
    ),
    Bug(
        "a check leaves open what its query began without being asked to",
        DBAPI,
        "        if not is_idle(connection):\n            connection.rollback()  #",
        "        if False:\n            connection.rollback()  #",
        Suite("resources/test_dbapi.py -k a_check_begins_no_needless_transaction"),
    ),
    Bug(
        "a check that was interrupted says what the driver says to its mending",
        DBAPI,
        "        ask(connection)\n        if not is_idle(connection):\n            connection.rollback()  #",
        "        try:\n            ask(connection)\n        finally:\n            switch.autocommit = False\n"
        "        if not is_idle(connection):\n            connection.rollback()  #",
        Suite("resources/test_dbapi.py -k interrupted_check"),
    ),
    Bug(
        "a check that was cancelled says what the driver says to its mending",
        DBAPI,
        "        await ask(connection)\n        if not is_idle(connection):\n",
        "        try:\n            await ask(connection)\n"
        "        finally:\n            await switch.set_autocommit(False)\n"
        "        if not is_idle(connection):\n",
        Suite("resources/test_dbapi.py -k cancelled_check"),
    ),
    Bug(
        "a connection in the middle of a stream is reset",
        TRANSACTIONS,
        "    if status == ACTIVE:\n",
        "    if False:\n",
        Suite("resources/test_on_return.py -k a_task_returns_a_connection"),
    ),
    Bug(
        "a transaction that failed counts as left open",
        TRANSACTIONS,
        "return status == INTRANS",
        "return status >= INTRANS",
        Suite("resources/test_on_return.py -k postgres_reports"),
    ),
    Bug(
        "lost work is reported each time",
        TRANSACTIONS,
        "is_new = place not in self._places",
        "is_new = True",
        Suite("resources/test_on_return.py -k once_for_each_place"),
    ),
    Bug(
        "the rollback of a client that failed is reported",
        TRANSACTIONS,
        "if sys.exc_info()[1] is not None:",
        "if False:",
        Suite("resources/test_on_return.py -k where_nothing_is_lost"),
    ),
    Bug(
        "what a client had half done when it failed is committed",
        DBAPI,
        'return BaseException if on_return == "commit" else ()',
        "return ()",
        Suite("resources/test_on_return.py -k nothing_of_a_failure"),
    ),
    Bug(
        "asyncpg's connections are asked to roll back",
        DBAPI,
        'await (driver.rollback() if hasattr(driver, "rollback") else driver.reset())',
        "await driver.rollback()",
        Suite("resources/test_on_return.py -k asyncpg_connections_are_pooled"),
    ),
    Bug(
        "the end of a stream counts as silence",
        SOCKETS,
        "somebody before.\n    return False",
        "somebody before.\n    return True",
        Suite("resources/test_sockets.py -k hung_up"),
    ),
    Bug(
        "a look leaves the socket without its time-out",
        SOCKETS,
        "    finally:\n        connection.settimeout(wait)\n",
        "    finally:\n        pass\n",
        Suite("resources/test_sockets.py -k changes_nothing"),
    ),
    Bug(
        "the tickets of TLS count as an answer",
        SOCKETS,
        "except (BlockingIOError, SSLWantReadError):",
        "except BlockingIOError:",
        Suite("resources/test_sockets.py -k tls"),
    ),
    Bug(
        "a half-sent message goes to the next borrower",
        SOCKETS,
        '"discard_on": BaseException,\n    }\n    return Pool(',
        '"discard_on": Exception,\n    }\n    return Pool(',
        Suite("resources/test_sockets.py -k connection_left_by_an_exception"),
    ),
    Bug(
        "the loop has not looked at an idle stream",
        SOCKETS,
        "for _ in range(2):",
        "for _ in range(0):",
        Suite("resources/test_sockets.py -k stream_that_ended"),
    ),
    Bug(
        "an answer that nobody read waits for the next request",
        HTTP,
        "self._asked or (self._answer is not None and not self._answer.isclosed())",
        "self._asked",
        Suite("resources/test_http.py -k an_unread_answer_never_meets_the_next_request"),
    ),
    Bug(
        "a request whose answer nobody asked for is forgotten",
        HTTP,
        "        self._asked = True\n",
        "",
        Suite("resources/test_http.py -k an_unread_answer_never_meets_the_next_request"),
    ),
    Bug(
        "a server that hung up is not noticed",
        HTTP,
        "return self.sock is None or is_quiet(self.sock)",
        "return True",
        Suite("resources/test_http.py -k hung_up"),
    ),
    Bug(
        "a dead worker is handed out",
        WORKERS,
        '{"check": _answer, "close"',
        '{"close"',
        Suite("resources/test_workers.py -k killed_while_idle"),
    ),
    Bug(
        "an old file is read for ever",
        FILES,
        "return os.path.samestat(os.fstat(file.fileno()), path.stat())",
        "return not file.closed",
        Suite("resources/test_files.py -k replaced"),
    ),
    Bug(
        "a scratch file keeps what was written",
        FILES,
        "        file.truncate()\n",
        "",
        Suite("resources/test_files.py -k handed_out_empty"),
    ),
    Bug(
        "an engine disposed of keeps the connections that come back",
        SQLALCHEMY,
        "self.connections.drain()",
        "self.connections.resize(max_size=self.connections.max_size)",
        Suite("resources/test_sqlalchemy.py -k dispose"),
    ),
    Bug(
        "a pool made anew forgets its settings",
        SQLALCHEMY,
        "            **self._own,\n",
        "",
        Suite("resources/test_sqlalchemy.py -k dispose"),
    ),
    Bug(
        "clients wait for a server that is down",
        SQLALCHEMY,
        '            "backoff": None,',
        '            "backoff": (0.05, 10.0),',
        Suite("resources/test_sqlalchemy.py -k while_a_server_is_down"),
    ),
    Bug(
        "a full pool that does not wait raises an error of its own",
        SQLALCHEMY,
        "except (PoolTimeoutError, PoolExhaustedError) as error:",
        "except PoolTimeoutError as error:",
        Suite("resources/test_sqlalchemy.py -k a_full_pool"),
    ),
    Bug(
        "the pool logs under the name of its module",
        SQLALCHEMY,
        "_sqla_logger_namespace = ",
        "_logger_namespace = ",
        Suite("resources/test_sqlalchemy.py -k logs_are_those"),
    ),
    Bug(
        "SQLAlchemy refuses an asynchronous engine, and does not say what to use",
        SQLALCHEMY,
        "if self._dialect.is_async:",
        "if False:",
        Suite("resources/test_sqlalchemy.py -k asynchronous_engines"),
    ),
)
