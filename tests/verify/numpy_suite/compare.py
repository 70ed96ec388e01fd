"""Two sessions of NumPy's tests, held against each other: exits with 1 unless the pool changed nothing and is empty."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

AT_LEAST = {"all": 30_000, "ci": 5_000}  # tests: fewer mean that something else was run


def kind(phases: list[str]) -> str:
    """One word for the outcome of a test."""
    if any("as expected" in phase for phase in phases):
        return "failed as expected"
    for word in ("failed", "skipped"):
        if any(phase.endswith(word) for phase in phases):
            return word
    return "passed"


def problems(plain: dict[str, Any], pool: dict[str, Any], at_least: int) -> Iterator[str]:
    """Yield what is not as it must be, a line each."""
    if len(plain["outcomes"]) < at_least:
        yield f"{len(plain['outcomes'])} tests were run, and it should be {at_least} or more"
    for test in sorted(plain["outcomes"].keys() | pool["outcomes"].keys()):
        without, under = (session["outcomes"].get(test, ["not run"]) for session in (plain, pool))
        if without != under:
            yield f"{test}: {', '.join(without)} without the pool; {', '.join(under)} under it"
    for test in pool["uncovered"]:
        yield f"{test}: the pool was not installed when it began"
    if pool["checkouts"] == 0:
        yield "NumPy took nothing from the pool"
    if pool["in_use_bytes"] != 0:
        yield f"{pool['in_use_bytes']} bytes of the pool are in use with everything collected"
        for line in pool["held"]:
            yield f"    {line}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=AT_LEAST, required=True)
    parser.add_argument("plain", type=Path)
    parser.add_argument("pool", type=Path)
    args = parser.parse_args()
    plain, pool = (json.loads(path.read_text(encoding="utf-8")) for path in (args.plain, args.pool))

    lines = []
    for name, session in (("plain", plain), ("pool", pool)):
        counts = Counter(map(kind, session["outcomes"].values()))
        words = ", ".join(f"{count:,} {word}" for word, count in counts.most_common())
        lines.append(f"{name}: {len(session['outcomes']):,} tests: {words}")
    lines.append(
        f"pool: {pool['checkouts']:,} checkouts, at most {pool['peak_bytes']:,} bytes in use, "
        f"{pool['threads']:,} threads; {pool['in_use_bytes']:,} bytes in use with everything collected"
    )
    failures = [f"FAILED {problem}" for problem in problems(plain, pool, AT_LEAST[args.part])]
    sys.stdout.write("\n".join([*lines, *failures, "failed" if failures else "the same"]) + "\n")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
