"""``python -m tests.verify [family ...] [--full]``: one line a check, and exit status 1 if any found a violation."""

from __future__ import annotations

import argparse
import sys
import time

from bufpool._words import plural
from tests.verify import APART, FAMILIES


def main() -> int:
    what = "Try to break bufpool, and say how hard it was tried."
    parser = argparse.ArgumentParser(prog="make prove", description=what)
    parser.add_argument(
        "families", nargs="*", metavar="family", help=f"of {', '.join(FAMILIES)}; all but {APART[0]} by default"
    )
    parser.add_argument("--full", action="store_true", help="more of everything, about an hour")
    options = parser.parse_args()
    for unknown in set(options.families) - set(FAMILIES):
        parser.error(f"no family {unknown!r}; there are {', '.join(FAMILIES)}")

    began = time.monotonic()
    count = violations = lacking = 0
    for family in options.families or [name for name in FAMILIES if name not in APART]:
        for check in FAMILIES[family](options.full):
            if check.lacks:
                lacking += 1
                print(f"{check.name}: NOT RUN, {check.lacks}", flush=True)
                continue
            print(f"{check.name}: ", end="", flush=True)
            started = time.monotonic()
            found = check.run()
            count += 1
            violations += len(found.violations)
            took = time.monotonic() - started
            wrong = f"{len(found.violations)} {plural(len(found.violations), 'violation')}"
            print(f"{found.size}, {wrong} ({took:.1f} s)", flush=True)
            for each in found.violations:
                print("    " + each.strip().replace("\n", "\n    "), flush=True)
    missing = f", {lacking} could not run" if lacking else ""
    wrong = f"{violations} {plural(violations, 'violation')}"
    print(f"== {count} {plural(count, 'check')}, {wrong}{missing}, in {time.monotonic() - began:.0f} s")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
