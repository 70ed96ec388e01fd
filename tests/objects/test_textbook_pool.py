"""The pool that textbooks write down stops for ever at its first shortage; the same clients are served by ours."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

import bufpool

OBJECTS, CLIENTS, ROUNDS = 3, 8, 20
REQUESTS = CLIENTS * ROUNDS


class TextbookPool:
    """As it is commonly taught: a queue of what is idle, and a lock around it "to be thread-safe".

    Who finds the queue empty waits in it, and holds the lock meanwhile. Who could end the wait, by giving an object
    back, needs that lock.
    """

    def __init__(self, factory: Callable[[], object], size: int) -> None:
        self.lock = threading.Lock()
        self.idle: queue.Queue[object] = queue.Queue()
        for _ in range(size):
            self.idle.put(factory())

    def acquire(self) -> object:
        with self.lock:
            return self.idle.get()

    def release(self, thing: object) -> None:
        with self.lock:
            self.idle.put(thing)


class Clients:
    """Threads that ask for an object again and again, more of them than there are objects."""

    def __init__(self, acquire: Callable[[], object], release: Callable[[object], None]) -> None:
        self.acquire, self.release = acquire, release
        self.served: list[object] = []
        # All begin at once, so that the pool is empty at once.
        self.start = threading.Barrier(CLIENTS)
        self.threads = [threading.Thread(target=self.work) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def work(self) -> None:
        self.start.wait()
        for _ in range(ROUNDS):
            thing = self.acquire()
            time.sleep(0.0005)
            self.release(thing)
            self.served.append(thing)

    def all_done_within(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self.threads)


def test_the_textbook_pool_stops_when_it_is_empty() -> None:
    pool = TextbookPool(object, OBJECTS)
    clients = Clients(pool.acquire, pool.release)
    assert not clients.all_done_within(0.5)
    before = len(clients.served)
    assert not clients.all_done_within(0.2)
    assert len(clients.served) == before < REQUESTS  # not slow: nobody moves any more
    assert pool.lock.locked()
    assert pool.idle.empty()
    # Only somebody who does not keep to the pool's own rules can free them.
    for _ in range(REQUESTS):
        pool.idle.put(object())
    assert clients.all_done_within(20)


def test_ours_serves_the_same_clients() -> None:
    with bufpool.Pool(object, max_size=OBJECTS) as pool:
        clients = Clients(pool.acquire, pool.release)
        assert clients.all_done_within(20)
        assert len(clients.served) == REQUESTS
        assert len(set(map(id, clients.served))) <= OBJECTS
        assert pool.stats().checkouts == REQUESTS
