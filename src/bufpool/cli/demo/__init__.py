"""``python -m bufpool demo``: a real picture pipeline on 4K frames, plain and under the pool, side by side."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

# The packages of the extra, by the name of their import. They are imported inside functions: `bufpool --help` works
# without them, and a measured process carries none that it does not use.
PACKAGES = ("matplotlib", "PIL", "rich", "scipy", "sklearn")
SMALLEST_SIDE = 16


def frame_size(text: str) -> tuple[int, int]:
    """Parse ``WIDTHxHEIGHT``."""
    width, cross, height = text.lower().partition("x")
    if not cross or not width.isdecimal() or not height.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, such as 3840x2160")
    if min(int(width), int(height)) < SMALLEST_SIDE:
        raise argparse.ArgumentTypeError(
            f"{text!r} is too small: each side must be {SMALLEST_SIDE} pixels or more"
        )
    return int(width), int(height)


def positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def file_to_write(text: str) -> Path:
    """Parse the path of a file in a folder that exists: a typing error should not cost a whole run."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder, not a file")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(path.parent)!r} to write {path.name!r} to")
    return path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the demo."""
    parser.description = (
        "Send two real photographs as 4K frames through a picture pipeline (luma, Gaussian blur, unsharp mask, "
        "Sobel, tone curve), on one thread and on two, with plain NumPy memory and under the pool. Print frame "
        "times, page faults and peak memory side by side, check that the results are bit-identical, and draw a "
        "picture and a chart. Takes about a minute."
    )
    parser.add_argument(
        "--frames", type=positive, default=8, metavar="N", help="timed frames a run (default: 8)"
    )
    parser.add_argument(
        "--size", type=frame_size, default=(3840, 2160), metavar="WxH", help="of a frame (default: 3840x2160)"
    )
    parser.add_argument(
        "--rounds", type=positive, default=2, metavar="N", help="runs of each kind (default: 2)"
    )
    parser.add_argument(
        "--output",
        type=file_to_write,
        default=Path("bufpool-demo.png"),
        metavar="PATH",
        help="the PNG to write (default: bufpool-demo.png)",
    )
    parser.add_argument(
        "--json", type=file_to_write, metavar="PATH", help="also write every figure to this file"
    )


def main(args: argparse.Namespace) -> int:
    """Run the demo and return the exit code: 1 if a run fails or results differ, 2 if a package is missing."""
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        how = 'pip install "bufpool[demo]" (in a checkout: ".[demo]")'
        sys.stderr.write(f"bufpool demo needs {', '.join(missing)}: {how}\n")
        return 2

    from bufpool.cli.demo.rounds import RunError
    from bufpool.cli.demo.show import show

    try:
        identical = show(args.size, args.frames, args.rounds, args.output, args.json)
    except RunError as failure:
        sys.stderr.write(f"bufpool demo: {failure}\n")
        return 1
    return 0 if identical else 1
