"""A clock for pytest-benchmark that replays samples taken elsewhere."""

from __future__ import annotations

from collections.abc import Callable


class Clock:
    """A timer, in seconds, that moves only when a sample is replayed."""

    __name__ = "replay"

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def __repr__(self) -> str:
        return self.__name__

    def replay(self, samples: list[float]) -> Callable[[], None]:
        """A function that takes as long as the next sample, each time it is called."""
        rest = iter(samples)

        def advance() -> None:
            self.now += next(rest)

        return advance
