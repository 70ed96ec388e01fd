"""Other people's packages: how to tell that one is here, how to get it, and which version was measured.

None is imported before it is asked for: a package that is missing, or that fails on this interpreter, costs the others
nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar

from bufpool.cli.bench import apart

INSTALL = "pip install bufpool[bench]"
INSTALL_PEERS = "pip install bufpool[peers]"

T = TypeVar("T")


@dataclass(frozen=True)
class Package(Generic[T]):
    """One way of one package.

    Parameters
    ----------
    distribution : str
        Its name on PyPI.
    entry : str
        What tells that the package is there: a module, or ``module:name``.
    build : callable
        Makes what is measured; its first argument is what `entry` names.
    install : str
        What to tell a user who lacks it.
    python : tuple of int
        The first version of Python that it is made for.
    """

    distribution: str
    entry: str
    build: Callable[..., T]
    install: str = INSTALL
    python: tuple[int, int] = (3, 11)

    def missing(self) -> str:
        """Why it cannot be had here, with what to do about it; empty where it can be had."""
        if sys.version_info < self.python:
            return f"needs Python {self.python[0]}.{self.python[1]}"
        module, _, attribute = self.entry.partition(":")
        install = apart.INSTALL if self.distribution in apart.APART else self.install
        try:
            found = self._import(module)
        except ImportError:
            return f"not installed: {install}"
        except Exception as error:  # noqa: BLE001 - whatever ails it, the others run
            return f"cannot be imported here: {error!r}"
        return "" if hasattr(found, attribute or "__name__") else f"not installed: {install}"

    def make(self, *arguments: Any) -> T:
        """What is measured, built with the package as it is here."""
        module, _, attribute = self.entry.partition(":")
        found = self._import(module)
        return self.build(getattr(found, attribute) if attribute else found, *arguments)

    def version(self) -> str | None:
        """The version that is installed, if any."""
        return apart.version(self.distribution)

    def _import(self, module: str) -> Any:
        if self.distribution in apart.APART:
            return apart.load(self.distribution, module)
        return import_module(module)
