"""Bugs of the recipes for pooled resources."""

from __future__ import annotations

from tests.verify.bug import Bug, Suite

DBAPI, SOCKETS, HTTP = (f"resources/{name}.py" for name in ("dbapi", "sockets", "http"))
WORKERS, FILES, SQLALCHEMY = (f"resources/{name}.py" for name in ("workers", "files", "sqlalchemy"))

RECIPES = (
    Bug(
        "what nobody committed is kept",
        DBAPI,
        '"reset": methodcaller("rollback")',
        '"reset": methodcaller("commit")',
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
        "return _is_idle(connection) and connection.autocommit is False",
        "return hasattr(connection, 'info') and connection.autocommit is False",
        Suite("resources/test_dbapi.py -k a_check_begins_no_needless_transaction"),
    ),
    Bug(
        "a check leaves open what its query began without being asked to",
        DBAPI,
        "        if not _is_idle(connection):\n            connection.rollback()  #",
        "        if False:\n            connection.rollback()  #",
        Suite("resources/test_dbapi.py -k a_check_begins_no_needless_transaction"),
    ),
    Bug(
        "a check that was interrupted says what the driver says to its mending",
        DBAPI,
        "        ask(connection)\n        if not _is_idle(connection):\n            connection.rollback()  #",
        "        try:\n            ask(connection)\n        finally:\n            switch.autocommit = False\n"
        "        if not _is_idle(connection):\n            connection.rollback()  #",
        Suite("resources/test_dbapi.py -k interrupted_check"),
    ),
    Bug(
        "a check that was cancelled says what the driver says to its mending",
        DBAPI,
        "        await ask(connection)\n        if not _is_idle(connection):\n",
        "        try:\n            await ask(connection)\n"
        "        finally:\n            await switch.set_autocommit(False)\n"
        "        if not _is_idle(connection):\n",
        Suite("resources/test_dbapi.py -k cancelled_check"),
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
        "a closed stream waits for a peer that is silent",
        SOCKETS,
        "await asyncio.wait([closed], timeout=PATIENCE)",
        "await asyncio.wait([closed])",
        Suite("resources/test_sockets.py -k to_a_silent_peer_is_aborted"),
    ),
    Bug(
        "a closed stream lives on when its client is cancelled",
        SOCKETS,
        "        writer.transport.abort()  #",
        "        if closed.done():\n            writer.transport.abort()  #",
        Suite("resources/test_sockets.py -k a_cancelled_client"),
    ),
    Bug(
        "a slow peer loses the end of a message",
        SOCKETS,
        "    writer.close()\n    closed =",
        "    writer.transport.abort()\n    closed =",
        Suite("resources/test_sockets.py -k a_slow_peer"),
    ),
    Bug(
        "connecting takes as long as it likes",
        SOCKETS,
        "partial(socket.create_connection, address, wait or None)",
        "partial(socket.create_connection, address)",
        Suite("resources/test_sockets.py -k connecting_takes_no_longer"),
    ),
    Bug(
        "an answer that nobody read waits for the next request",
        HTTP,
        "self._asked or (self._answer is not None and not self._answer.isclosed())",
        "self._asked",
        Suite("resources/test_http.py -k an_unread_answer_never_meets_the_next_request"),
    ),
    Bug(
        "an answer that is due is waited for",
        HTTP,
        "            self.close()\n\n    def is_usable",
        "            self.getresponse().read()\n            self.close()\n\n    def is_usable",
        Suite("resources/test_http.py -k silent_server"),
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
        '{"check": _Worker.is_usable, "reset"',
        '{"reset"',
        Suite("resources/test_workers.py -k killed_while_idle"),
    ),
    Bug(
        "a worker with a job is handed out",
        WORKERS,
        "        if self.unfinished():\n            return False\n",
        "",
        Suite("resources/test_unfinished_jobs.py -k a_worker_that_got_a_job_while_idle"),
    ),
    Bug(
        "nobody knows which jobs have not ended",
        WORKERS,
        "        self._unfinished.add(job)\n",
        "",
        Suite("resources/test_unfinished_jobs.py -k a_thread_with_a_job_is_set_aside"),
    ),
    Bug(
        "a process that ignores SIGTERM lives on",
        WORKERS,
        "process.kill()",
        "process.terminate()",
        Suite("resources/test_unfinished_jobs.py -k ignores_sigterm"),
    ),
    Bug(
        "the rest of a result is waited for",
        WORKERS,
        "self._result_writer.close()",
        "pass",
        Suite("resources/test_unfinished_jobs.py -k leaves_nothing_behind"),
    ),
    Bug(
        "a thread with a job is waited for",
        WORKERS,
        "        if not busy:\n            self._worker_thread",
        "        if True:\n            self._worker_thread",
        Suite("resources/test_unfinished_jobs.py -k a_thread_with_a_job_is_set_aside"),
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
)
