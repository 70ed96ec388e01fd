"""Other people's packages: whether one is installed, how to install it, and its version.

None is imported before it is needed: a package that is missing, or that fails on this interpreter, does not affect the
others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, metadata
from pkgutil import resolve_name
from typing import Any, Generic, TypeVar

INSTALL = "pip install -e '.[bench]'"
INSTALL_PEERS = "pip install -e '.[peers]'"

T = TypeVar("T")


@dataclass(frozen=True)
class Package(Generic[T]):
    """One way to use one package.

    Parameters
    ----------
    distribution : str
        Its name on PyPI.
    entry : str
        What shows that the package is installed: a module, or ``module:name``.
    build : callable
        Makes what is measured; its first argument is what `entry` names.
    install : str
        How to install it.
    """

    distribution: str
    entry: str
    build: Callable[..., T]
    install: str = INSTALL

    def missing(self) -> str:
        """Why it is not available here, and how to install it; empty if it is available."""
        module, _, attribute = self.entry.partition(":")
        try:
            found = import_module(module)
        except ImportError:
            return f"not installed: {self.install}"
        except Exception as error:  # noqa: BLE001 - a package may fail in any way, and the others still run
            return f"cannot be imported here: {error!r}"
        return "" if hasattr(found, attribute or "__name__") else f"not installed: {self.install}"

    def make(self, *arguments: Any) -> T:
        """Build what is measured."""
        return self.build(resolve_name(self.entry), *arguments)

    def version(self) -> str | None:
        """The installed version, if any."""
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return None
