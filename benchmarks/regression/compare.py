"""``make compare``: fail if a ratio is a quarter worse than the baseline twice; ``make baseline`` renews that.

The baseline is valid for one version of CPython on one processor. On others nothing is compared, which is printed; with
``--require`` it is a failure.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.regression import baseline
from benchmarks.regression.ratios import RATIOS

ROOT = Path(__file__).resolve().parents[2]
PYTEST = [sys.executable, "-m", "pytest", "benchmarks/test_ratios.py", "-q", "-p", "no:cacheprovider"]
OPTIONS = ["--benchmark-only", "--benchmark-sort=fullname", "--benchmark-columns=median,min,max"]

#: The baseline is missing or cannot be read.
UNREADABLE = 2


def main() -> int:
    """
    Returns
    -------
    int
        0; 1 if a ratio is worse, or nothing could be compared and ``--require`` was given; 2 if there is no readable
        baseline.
    """
    parser = argparse.ArgumentParser(prog="make compare", description=__doc__)
    parser.add_argument("--renew", action="store_true", help="store what is measured as the baseline")
    parser.add_argument("--require", action="store_true", help="fail if there is nothing to compare with")
    options = parser.parse_args()
    if options.renew:
        return run(f"--benchmark-json={baseline.FILE}")
    try:
        machine, known = baseline.stored_machine(), baseline.medians()
    except baseline.BaselineError as error:
        print(f"compare: {error}", file=sys.stderr)
        return UNREADABLE
    if machine != baseline.this_machine():
        return _nothing(f"the baseline is of {machine}, this is {baseline.this_machine()}", options.require)
    new = [ratio.name for ratio in RATIOS if ratio.name not in known]
    if len(new) == len(RATIOS):
        return _nothing("the baseline has none of the ratios that are measured", options.require)
    if new:
        print(f"compare: not in the baseline, not compared: {', '.join(new)}")
    against = f"--benchmark-compare={baseline.FILE}"
    allowed = f"--benchmark-compare-fail=median:{baseline.ALLOWED:.0%}"
    # On a shared machine one run in some is disturbed. What is slower is so again.
    return run(against, allowed) and run(against, allowed)


def _nothing(why: str, required: bool) -> int:
    print(f"compare: {why}: not compared")
    return int(required)


def run(*options: str) -> int:
    return subprocess.run([*PYTEST, *OPTIONS, *options], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
