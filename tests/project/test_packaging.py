"""What a user gets from an install: the right files, small imports, clean binaries, honest metadata."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import distribution, version
from pathlib import Path

import pytest

import bufpool

INSTALLED = Path(bufpool.__file__).parent
MODULES = sorted(path for path in INSTALLED.glob("*/native/*") if path.name.endswith(tuple(EXTENSION_SUFFIXES)))


def dotted(module: Path) -> str:
    """The name that a compiled file is imported by."""
    return ".".join([*module.relative_to(INSTALLED.parent).parent.parts, module.name.split(".")[0]])


on_elf = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads ELF files")
each_module = pytest.mark.parametrize("module", MODULES, ids=lambda path: dotted(path).removeprefix("bufpool."))


def python(code: str) -> str:
    """Run ``code`` in a fresh interpreter, every warning an error, and give what it prints."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def tool(*command: str | Path) -> str:
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"{command[0]} is not on this machine")
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


# Files and metadata --------------------------------------------------------------------------------------------------


def test_version_is_the_one_in_the_metadata() -> None:
    assert bufpool.__version__ == version("bufpool")


def test_public_names_exist_once() -> None:
    assert len(set(bufpool.__all__)) == len(bufpool.__all__)
    assert [name for name in bufpool.__all__ if not hasattr(bufpool, name)] == []


def test_public_names_say_where_they_come_from() -> None:
    """Names made public are shown as ``bufpool.X``, or as members of the public ``bufpool.errors``."""
    homes = {getattr(getattr(bufpool, name), "__module__", "bufpool") for name in bufpool.__all__}
    assert [home for home in homes if home is not None and home.split(".")[0] != "bufpool"] == []


def test_package_says_that_it_is_typed() -> None:
    assert (INSTALLED / "py.typed").is_file()


def test_every_compiled_module_has_a_stub() -> None:
    assert MODULES, f"no compiled module in {INSTALLED}"
    assert [path.name for path in MODULES if not path.with_name(f"{path.name.split('.')[0]}.pyi").is_file()] == []


def test_contracts_are_installed_for_other_extensions() -> None:
    """Each ``.pxd`` comes with the header that it declares, so that another extension can ``cimport`` it."""
    contracts = sorted(path for path in INSTALLED.rglob("*.pxd") if path.parent.name in ("_core", "core"))
    assert contracts
    for contract in contracts:
        for header in re.findall(r'extern from "([^"]+)"', contract.read_text(encoding="utf-8")):
            places = (INSTALLED.parent / header, contract.parent / header)
            assert any(place.is_file() for place in places), (
                f"{contract.name} declares {header}, which is not installed"
            )


def test_install_holds_no_sources_of_compiled_modules() -> None:
    if not any("site-packages" in part or "dist-packages" in part for part in INSTALLED.parts):
        pytest.skip(f"not an install but a tree: {INSTALLED}")
    assert [path.name for path in INSTALLED.rglob("*") if path.suffix in (".pyx", ".cpp", ".c")] == []


def test_numpy_is_the_only_dependency() -> None:
    needed = [line for line in distribution("bufpool").requires or [] if "extra ==" not in line]
    assert [re.match(r"[\w-]+", line).group() for line in needed] == ["numpy"]  # type: ignore[union-attr]


# Importing -----------------------------------------------------------------------------------------------------------


def loaded_by_import() -> list[str]:
    """Modules that all names of ``bufpool`` load after NumPy."""
    code = (
        "import sys, json, numpy; before = set(sys.modules); from bufpool import *; "
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    return [str(name) for name in json.loads(python(code))]


def test_import_loads_little_on_top_of_numpy() -> None:
    heavy = {
        "argparse",
        "asyncio",
        "concurrent.futures.thread",
        "dataclasses",
        "inspect",
        "logging",
        "multiprocessing",
        "typing_extensions",
    }
    optional = {"matplotlib", "psutil", "rich", "scipy", "skimage", "sklearn"}
    loaded = loaded_by_import()
    assert [name for name in loaded if name in heavy or name.split(".")[0] in optional] == []
    assert [name for name in loaded if name.startswith(("numpy.", "bufpool.cli", "bufpool.__main__"))] == []


def test_import_leaves_numpys_allocator_alone() -> None:
    code = (
        "import numpy; from numpy._core.multiarray import get_handler_name as name; before = name(); "
        "from bufpool import *; print(before == name())"
    )
    assert python(code).strip() == "True"


def test_import_starts_no_thread() -> None:
    assert python("import threading; from bufpool import *; print(threading.active_count())").strip() == "1"


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this interpreter always has a GIL")
def test_the_gil_stays_off() -> None:
    """CPython turns the GIL on, with a warning, for a module that does not say it can do without."""
    names = ", ".join(["bufpool", *map(dotted, MODULES)])
    code = f"import numpy, sys; before = sys._is_gil_enabled(); import {names}; print(before, sys._is_gil_enabled())"
    assert python(code).split() == ["False", "False"]


# Binaries ------------------------------------------------------------------------------------------------------------


@each_module
def test_compiled_module_imports_by_its_own_name(module: Path) -> None:
    name = dotted(module)
    assert importlib.import_module(name).__name__ == name


@on_elf
@each_module
def test_compiled_module_exports_only_its_init_function(module: Path) -> None:
    exported = {line.split()[-1] for line in tool("nm", "-D", "--defined-only", module).splitlines()}
    assert exported - {"_init", "_fini"} == {f"PyInit_{module.name.split('.')[0]}"}


@on_elf
@each_module
def test_compiled_module_needs_no_cpp_runtime(module: Path) -> None:
    needed = re.findall(r"\(NEEDED\).*\[(.+?)\]", tool("readelf", "-d", module))
    assert [name for name in needed if name.startswith(("libstdc++", "libc++", "libgcc_s", "libsupc++"))] == []


@on_elf
@each_module
def test_compiled_module_leaves_no_cpp_symbol_open(module: Path) -> None:
    """``operator new``, exceptions and guards would only be found where another module has loaded libstdc++."""
    wanted = [line.split()[-1] for line in tool("nm", "-D", "--undefined-only", module).splitlines()]
    libc = ("__cxa_atexit", "__cxa_finalize", "__cxa_thread_atexit_impl")
    assert [
        name for name in wanted if name.startswith(("_Z", "__cxa_", "__gxx_")) and name.split("@")[0] not in libc
    ] == []


@on_elf
def test_compiled_modules_are_small() -> None:
    """A wheel of at most 1 MB, compressed, leaves about three times as much here."""
    if any(".debug_info" in tool("readelf", "-SW", module) for module in MODULES):
        pytest.skip("this build keeps its debugging information")
    assert sum(path.stat().st_size for path in MODULES) < 3 * 1024 * 1024
