"""``python -m bufpool``."""

from __future__ import annotations

import sys

from bufpool.cli import main

if __name__ == "__main__":
    sys.exit(main())
