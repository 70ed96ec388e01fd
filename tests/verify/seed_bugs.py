"""``python -m tests.verify.seed_bugs [word ...]``: what becomes of each seeded bug whose name or file has the word."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from bufpool._words import plural
from tests.verify.bugs import BUGS
from tests.verify.mutants import judged, lacks


def main(words: Sequence[str]) -> int:
    """Each bug on a line as soon as it is known. Exit status 1 if one was not caught."""
    if lacks():
        sys.exit(f"mutants: {lacks()}")
    bugs = [bug for bug in BUGS if not words or any(word in f"{bug.name} {bug.file}" for word in words)]
    if not bugs:
        sys.exit(f"mutants: no bug has one of {', '.join(words)} in its name or file")
    for bug in bugs:
        if bug.hidden:
            print(f"not run  {bug.file}: {bug.name}: {bug.hidden}")
    bugs = [bug for bug in bugs if not bug.hidden]
    began, count = time.monotonic(), dict.fromkeys(("caught", "missed", "broken", "lacking"), 0)
    for verdict in judged(bugs):
        count[verdict.word] += 1
        where, took = f"{verdict.bug.file}: {verdict.bug.name}", f"{verdict.seconds:.1f} s"
        print(f"{verdict.word:8} {where} ({took}): {verdict.why}", flush=True)
    words_of_all = ", ".join(f"{number} {word}" for word, number in count.items() if number)
    seeded = f"{len(bugs)} seeded {plural(len(bugs), 'bug')}"
    print(f"== {seeded}: {words_of_all or 'none'}, in {time.monotonic() - began:.0f} s")
    return 1 if count["missed"] or count["broken"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
