"""The package's logger, imported when there is something to log."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

__all__ = ["log"]


def log() -> logging.Logger:
    """Return the logger ``bufpool``."""
    import logging  # takes as long to import as a third of this package, and is rarely needed

    return logging.getLogger("bufpool")
