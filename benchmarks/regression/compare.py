"""``make compare``: fail if a ratio is a quarter worse than the baseline, which ``make baseline`` renews.

The baseline is valid for one version of CPython on one processor. On others nothing is compared, which is printed; with
``--require`` it is a failure.
"""

from __future__ import annotations

import argparse
import sys
from statistics import median

from benchmarks.regression import baseline
from benchmarks.regression.ratios import GENERATIONS, RATIOS, measure, settled

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
        return _renew()
    try:
        machine, known = baseline.read()
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
    return _compare(known)


def _renew() -> int:
    # An error of the baseline, which is measured once, would be in every comparison.
    found = {ratio.name: round(median(figures), 4) for ratio, figures in measure(RATIOS, 3 * GENERATIONS).items()}
    for name, ratio in found.items():
        print(f"{name:<20} {ratio:6.3f}")
    baseline.store(found)
    return 0


def _compare(known: dict[str, float]) -> int:
    limits = {ratio: known[ratio.name] * (1 + baseline.ALLOWED) for ratio in RATIOS if ratio.name in known}
    regressed = False
    for ratio, figures in settled(limits).items():
        now, before = median(figures), known[ratio.name]
        worse = now > limits[ratio]
        regressed |= worse
        print(f"{ratio.name:<20} {now:6.3f}, was {before:6.3f} {now / before - 1:+6.1%}{'  REGRESSED' * worse}")
    return int(regressed)


def _nothing(why: str, required: bool) -> int:
    print(f"compare: {why}: not compared")
    return int(required)


if __name__ == "__main__":
    sys.exit(main())
