"""Packages that one environment cannot hold together, each in a folder of its own, imported from there.

Three of the pools of objects call their module ``object_pool``, and one requires a database driver, compiled, for a
module that nobody needs here. ``python -m bufpool.cli.bench.apart`` installs those in `APART` below the environment,
where no other program sees them.
"""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType

#: What is installed, by distribution, without anything that it requires.
APART = {
    "object-pool": "object-pool>=0.2",
    "py-object-pool": "py-object-pool>=1.1",
    "queuepool": "queuepool>=1.3.2",
}

INSTALL = "python -m bufpool.cli.bench.apart"


def folder(distribution: str) -> Path:
    """Where a distribution lies that is kept apart."""
    return Path(sys.prefix) / "share" / "bufpool-bench" / distribution


def load(distribution: str, module: str) -> ModuleType:
    """Import `module` from the folder of `distribution`, also where another module of that name is imported already.

    It is not left in ``sys.modules``: whoever imports that name later gets what the environment has.

    Raises
    ------
    ImportError
        The distribution is not there.
    """
    top = module.partition(".")[0]
    others = {name: sys.modules.pop(name) for name in _of(top)}
    sys.path.insert(0, str(folder(distribution)))
    try:
        found = import_module(module)
        if not Path(str(found.__file__)).is_relative_to(folder(distribution)):
            raise ImportError(f"{distribution} is not in {folder(distribution)}", name=module)
        return found
    finally:
        sys.path.remove(str(folder(distribution)))
        for name in _of(top):
            del sys.modules[name]
        sys.modules.update(others)


def _of(top: str) -> list[str]:
    return [name for name in sys.modules if name == top or name.startswith(f"{top}.")]


def version(distribution: str) -> str | None:
    """The version of a distribution, kept apart or not; None where it is not installed."""
    if distribution in APART:
        found = metadata.distributions(name=distribution, path=[str(folder(distribution))])
        return next((each.version for each in found), None)
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def main() -> None:
    """Install all of them, or a newer one over each that is there."""
    for distribution, requirement in APART.items():
        command = [
            sys.executable,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "--quiet",
            "install",
            "--no-deps",
        ]
        target = ["--upgrade", "--target", str(folder(distribution)), requirement]
        subprocess.run([*command, *target], check=True)


if __name__ == "__main__":
    main()
