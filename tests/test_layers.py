"""Imports point downward: each layer of ``src/bufpool`` uses only what lies below it. ``layers.py`` is the judge."""

from __future__ import annotations

from pathlib import Path

import layers
import pytest
from layers import arrows, faults, python_in_core

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "bufpool"
in_checkout = pytest.mark.skipif(
    not PACKAGE.is_dir(), reason="no source tree here: these tests run beside an installed wheel"
)


@in_checkout
def test_every_import_points_down() -> None:
    assert faults(PACKAGE) == []


@in_checkout
def test_core_knows_no_python() -> None:
    assert python_in_core(PACKAGE) == []


@in_checkout
def test_imports_of_every_kind_are_seen() -> None:
    """The judges above are worth nothing if the reader finds no arrows: each language must give some."""
    kinds = {(Path(arrow.source).suffix, Path(arrow.target).suffix) for arrow in arrows(PACKAGE)}
    assert {
        (".hpp", ".hpp"),
        (".pyx", ".pxd"),
        (".pyx", ".py"),
        (".pxd", ".hpp"),
        (".py", ".py"),
        (".py", ".pyx"),
    } <= kinds


SOUND = {
    "core/atomics.hpp": "#include <atomic>\n",
    "core/slab.hpp": '#include "atomics.hpp"\n// #include "arena.hpp": a comment\n/* #include <Python.h>\n*/\n',
    "core/arena.hpp": "#include <bufpool/core/slab.hpp>\n",
    "core/arena.pxd": 'cdef extern from "bufpool/core/arena.hpp" nogil:\n    int total() noexcept\n',
    "errors.py": "class BufpoolError(Exception): ...\n",
    "_version.py": '__version__ = "1"\n',
    "native/__init__.py": "",
    "native/_arena.pxd": "from bufpool.core.arena cimport total\n",
    "native/_arena.pyx": '"""Say: from bufpool import stats."""\nimport numpy\nfrom ..errors import BufpoolError\n',
    "native/_lease.pyx": "from bufpool.native._arena cimport (\n    Arena,\n    Block as B,\n)\n",
    "native/_lease.pyi": "class Lease: ...\n",
    "stats.py": "from .native import _arena\n",
    "buffer_pool.py": "from . import stats\nfrom .native._lease import Lease\n",
    "__init__.py": "from ._version import __version__\nfrom .buffer_pool import BufferPool\n",
    "__main__.py": "def main():\n    from bufpool.cli import main\n",
    "cli/__init__.py": "from bufpool import BufferPool\n",
    "cli/run.py": "import bufpool.errors\n",
}

MUTANTS = {
    "c++, quoted": (
        "core/slab.hpp",
        '#include "arena.hpp"\n',
        "core/slab.hpp:1: in layer 2, imports core/arena.hpp of layer 3",
    ),
    "c++, from the root": (
        "core/atomics.hpp",
        "#\tinclude <bufpool/core/slab.hpp>\n",
        "imports core/slab.hpp of layer 2",
    ),
    "c++, nowhere": (
        "core/slab.hpp",
        '#include "bufpool/core/gone.hpp"\n',
        "imports bufpool/core/gone.hpp, which no file",
    ),
    "declaration": (
        "core/arena.pxd",
        "from bufpool.native._arena cimport Arena\n",
        "layer 3, imports native/_arena.pyx of layer 4",
    ),
    "cimport": (
        "core/arena.pxd",
        "cimport bufpool.native._arena as a\n",
        "layer 3, imports native/_arena.pyx of layer 4",
    ),
    "import in compiled code": (
        "native/_arena.pyx",
        "\n\nimport bufpool.stats\n",
        "native/_arena.pyx:3: in layer 4, imports stats.py",
    ),
    "import in a function": (
        "native/_arena.pyx",
        "def f():\n    if 1: from ..stats import (\n  x)\n",
        "pyx:2: in layer 4, imports stats.py",
    ),
    "the public package": (
        "native/_arena.pyx",
        "from bufpool import BufferPool\n",
        "imports __init__.py of layer 6.5",
    ),
    "python": (
        "stats.py",
        "from bufpool import buffer_pool\n",
        "stats.py:1: in layer 5, imports buffer_pool.py of layer 6",
    ),
    "python, relative": (
        "stats.py",
        "from .buffer_pool import BufferPool\n",
        "imports buffer_pool.py of layer 6",
    ),
    "python, lazy": (
        "buffer_pool.py",
        "def f():\n    from .cli import run\n",
        "buffer_pool.py:2: in layer 6, imports cli/run.py",
    ),
    "python, for types": (
        "buffer_pool.py",
        "if TYPE_CHECKING:\n    from . import BufferPool\n",
        "imports __init__.py of layer 6.5",
    ),
    "stub": (
        "native/_lease.pyi",
        "from ..stats import PoolStats\n",
        "native/_lease.pyi:1: in layer 4, imports stats.py of layer 5",
    ),
    "python, nowhere": (
        "stats.py",
        "import bufpool.gone\n",
        "stats.py:1: imports bufpool.gone, which no file here provides",
    ),
    "leaf": (
        "errors.py",
        "from ._version import __version__\n",
        "errors.py:1: imports _version.py, but must stand alone",
    ),
    "cycle of headers": (
        "core/atomics.hpp",
        '#include "os_memory.hpp"\n',
        "a cycle: core/atomics.hpp -> core/os_memory.hpp -> core/atomics.hpp",
    ),
    "cycle of modules": (
        "native/_arena.pyx",
        "from ._lease cimport Lease\n",
        "a cycle: native/_arena -> native/_lease -> native/_arena",
    ),
    "file without a layer": ("helpers.py", "", "helpers.py: in 0 layers"),
}


def plant(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


def test_a_sound_tree_has_no_faults(tmp_path: Path) -> None:
    package = plant(tmp_path, SOUND)
    assert faults(package) == []
    assert python_in_core(package) == []
    assert len(arrows(package)) == 14


@pytest.mark.parametrize(("path", "text", "fault"), MUTANTS.values(), ids=MUTANTS)
def test_an_upward_import_is_reported(tmp_path: Path, path: str, text: str, fault: str) -> None:
    files = SOUND | {"core/os_memory.hpp": '#include "atomics.hpp"\n', path: text}
    assert [found for found in faults(plant(tmp_path, files)) if fault in found], "this mutant lives"


def test_a_file_in_two_layers_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "LAYERS", (*layers.LAYERS, (8, ("stats.*",))))
    assert "stats.py: in 2 layers" in faults(plant(tmp_path, SOUND))


@pytest.mark.parametrize(
    ("path", "text", "fault"),
    [
        ("core/slab.hpp", "#include <Python.h>\n", "core/slab.hpp:1: includes Python.h"),
        (
            "core/slab.cpp",
            "#include <numpy/arrayobject.h>\n",
            "core/slab.cpp:1: includes numpy/arrayobject.h",
        ),
        ("core/slab.hpp", "void f(PyObject* x);\n", "core/slab.hpp: names PyObject"),
        ("core/arena.pxd", "cdef extern from *:\n    object f()\n", "core/arena.pxd:2: names object"),
        ("core/arena.pxd", "cimport numpy as np\n", "core/arena.pxd:1: names numpy"),
        ("core/arena.py", "", "core/arena.py: is Python"),
    ],
)
def test_python_in_the_core_is_reported(tmp_path: Path, path: str, text: str, fault: str) -> None:
    assert fault in python_in_core(plant(tmp_path, SOUND | {path: text}))
