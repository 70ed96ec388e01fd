"""The version of bufpool: the one place that states it.

``pyproject.toml`` reads ``__version__`` from here at build time; everything else imports it.
"""

from __future__ import annotations

__version__ = "0.1.0"
