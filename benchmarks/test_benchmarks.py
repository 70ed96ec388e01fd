"""Every race of ``python -m bufpool bench``: a group for each row and size, a test for each contender."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from replay import Clock

from bufpool.cli.bench.parts import Crew, Race
from bufpool.cli.bench.rows import ROWS
from bufpool.cli.bench.timing import Entrant


def contenders() -> Iterator[object]:
    for row in ROWS:
        for part in row.parts:
            for number, crew in enumerate(part.crews if isinstance(part, Race) else (), start=1):
                group = f"{row.id} {part.label}" + (f", crew {number}" if number > 1 else "")
                for entrant in crew:
                    clock = Clock()
                    lacks = part.lacks()
                    marks = [
                        pytest.mark.benchmark(group=group, timer=clock),
                        pytest.mark.skipif(bool(lacks), reason=lacks),
                    ]
                    yield pytest.param(crew, entrant, clock, id=f"{group}, {entrant.name}", marks=marks)


@pytest.mark.parametrize(("crew", "entrant", "clock"), list(contenders()))
def test_race(
    contend: Callable[[Crew, Entrant, Clock], None], crew: Crew, entrant: Entrant, clock: Clock
) -> None:
    contend(crew, entrant, clock)
