"""``make compare``: fail if a ratio is a quarter worse than the baseline, which ``make baseline`` renews.

The baseline holds for one version of CPython on one processor. Elsewhere nothing is compared, and that is said.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import baseline

ROOT = Path(__file__).resolve().parents[1]
PYTEST = [sys.executable, "-m", "pytest", "benchmarks/test_ratios.py", "-q", "-p", "no:cacheprovider"]
OPTIONS = ["--benchmark-only", "--benchmark-sort=fullname", "--benchmark-columns=median,min,max"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make compare", description=__doc__)
    parser.add_argument("--renew", action="store_true", help="store what is measured as the baseline")
    options = parser.parse_args()
    if options.renew:
        return run(f"--benchmark-json={baseline.FILE}")
    if baseline.of() != baseline.here():
        print(
            f"compare: the baseline is of {baseline.of() or 'nothing'}, this is {baseline.here()}: not compared"
        )
        return 0
    return run(
        f"--benchmark-compare={baseline.FILE}", f"--benchmark-compare-fail=median:{baseline.ALLOWED:.0%}"
    )


def run(*options: str) -> int:
    return subprocess.run([*PYTEST, *OPTIONS, *options], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
