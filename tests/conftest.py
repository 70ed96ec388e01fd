"""What every run of the suite says first: which bufpool it tests, and on what."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import bufpool


def pytest_report_header() -> str:
    gil = "GIL off" if not getattr(sys, "_is_gil_enabled", lambda: True)() else "GIL on"
    return (
        f"bufpool {bufpool.__version__} from {Path(bufpool.__file__).parent}; NumPy {np.__version__}; {gil}"
    )
