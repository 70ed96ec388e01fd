"""Each layer of ``src/bufpool`` uses only those that it may, and neither wing the other. ``layers.py`` is the judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import layers
from tests.support.checkout import ROOT
from tests.support.layers import LAYERS, arrows, faults, python_in_core

PACKAGE = ROOT / "src" / "bufpool"
in_checkout = pytest.mark.skipif(
    not PACKAGE.is_dir(), reason="no source tree here: these tests run beside an installed wheel"
)


@in_checkout
def test_every_import_points_down() -> None:
    assert faults(PACKAGE) == []


def test_the_table_has_no_way_up_or_across() -> None:
    """A layer uses only those above it in the table; nothing of a wing reaches the other."""
    names = list(LAYERS)
    assert [name for name in names if not LAYERS[name].uses <= set(names[: names.index(name)])] == []
    wings = {wing: {name for name in names if name.split()[0] == wing} for wing in ("memory", "objects")}
    assert all(len(wing) == 3 for wing in wings.values())
    assert [name for name in wings["memory"] if LAYERS[name].uses & wings["objects"]] == []
    assert [name for name in wings["objects"] if LAYERS[name].uses & wings["memory"]] == []


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
    "_core/atomics.hpp": "#include <atomic>\n",
    "memory/core/slab.hpp": '#include "bufpool/_core/atomics.hpp"\n// #include "arena.hpp": a comment\n'
    "/* #include <Python.h>\n*/\n",
    "memory/core/arena.hpp": "#include <bufpool/memory/core/slab.hpp>\n",
    "memory/core/arena.pxd": 'cdef extern from "bufpool/memory/core/arena.hpp" nogil:\n    int total() noexcept\n',
    "objects/core/object_pool.hpp": '#include "bufpool/_core/atomics.hpp"\n',
    "objects/native/_lease.pyx": 'cdef extern from "bufpool/objects/core/object_pool.hpp":\n    pass\n',
    "objects/pool.py": "from bufpool.objects.native._lease import ThreadFront\n",
    "errors.py": "class BufpoolError(Exception): ...\n",
    "_version.py": '__version__ = "1"\n',
    "memory/native/__init__.py": "",
    "memory/native/_arena.pxd": "from bufpool.memory.core.arena cimport total\n",
    "memory/native/_arena.pyx": '"""Say: from bufpool.memory import stats."""\nimport numpy\n'
    "from ...errors import BufpoolError\n",
    "memory/native/_array_lease.pyx": "from bufpool.memory.native._arena cimport (\n    Arena,\n    Block as B,\n)\n",
    "memory/native/_array_lease.pyi": "class Lease: ...\n",
    "memory/stats.py": "from .native import _arena\n",
    "memory/buffer_pool.py": "from . import stats\nfrom .native._array_lease import Lease\n",
    "__init__.py": "from ._version import __version__\nfrom .memory.buffer_pool import BufferPool\n",
    "__main__.py": "def main():\n    from bufpool.cli import main\n",
    "resources/files.py": "from bufpool.objects.pool import Pool\n",
    "cli/__init__.py": "from bufpool import BufferPool\n",
    "cli/run.py": "import bufpool.errors\n",
}

MUTANTS = {
    "c++, quoted": (
        "memory/core/slab.hpp",
        '#include "arena.hpp"\n',
        "memory/core/slab.hpp:1: imports memory/core/arena.hpp of a row above it in layer 'memory core'",
    ),
    "c++, from the root": (
        "_core/atomics.hpp",
        "#\tinclude <bufpool/memory/core/slab.hpp>\n",
        "_core/atomics.hpp:1: in layer 'core', imports memory/core/slab.hpp of layer 'memory core'",
    ),
    "c++, nowhere": (
        "memory/core/slab.hpp",
        '#include "bufpool/memory/core/gone.hpp"\n',
        "imports bufpool/memory/core/gone.hpp, which no file",
    ),
    "c++, the other wing": (
        "objects/core/object_pool.hpp",
        '#include "bufpool/memory/core/slab.hpp"\n',
        "in layer 'objects core', imports memory/core/slab.hpp of layer 'memory core'",
    ),
    "c++, the other wing, by a path": (
        "objects/core/object_pool.hpp",
        '#include "../../memory/core/slab.hpp"\n',
        "in layer 'objects core', imports memory/core/slab.hpp of layer 'memory core'",
    ),
    "declaration": (
        "memory/core/arena.pxd",
        "from bufpool.memory.native._arena cimport Arena\n",
        "layer 'memory core', imports memory/native/_arena.pyx of layer 'memory native'",
    ),
    "cimport": (
        "memory/core/arena.pxd",
        "cimport bufpool.memory.native._arena as a\n",
        "layer 'memory core', imports memory/native/_arena.pyx of layer 'memory native'",
    ),
    "cimport, the other wing": (
        "objects/native/_lease.pyx",
        "from bufpool.memory.native._arena cimport Arena\n",
        "layer 'objects native', imports memory/native/_arena.pyx of layer 'memory native'",
    ),
    "c++ in compiled code, the other wing": (
        "objects/native/_lease.pyx",
        'cdef extern from *:\n    """\n    #include "bufpool/memory/core/slab.hpp"\n    """\n',
        "objects/native/_lease.pyx:3: in layer 'objects native', imports memory/core/slab.hpp",
    ),
    "import in compiled code": (
        "memory/native/_arena.pyx",
        "\n\nimport bufpool.memory.stats\n",
        "memory/native/_arena.pyx:3: in layer 'memory native', imports memory/stats.py",
    ),
    "import in a function": (
        "memory/native/_arena.pyx",
        "def f():\n    if 1: from ..stats import (\n  x)\n",
        "pyx:2: in layer 'memory native', imports memory/stats.py",
    ),
    "the public package": (
        "memory/native/_arena.pyx",
        "from bufpool import BufferPool\n",
        "imports __init__.py of layer 'public names'",
    ),
    "python": (
        "memory/stats.py",
        "from bufpool.memory import buffer_pool\n",
        "memory/stats.py:1: imports memory/buffer_pool.py of a row above it in layer 'memory'",
    ),
    "python, relative": (
        "memory/stats.py",
        "from .buffer_pool import BufferPool\n",
        "imports memory/buffer_pool.py of a row above",
    ),
    "python, the other wing": (
        "objects/pool.py",
        "from bufpool.memory.stats import PoolStats\n",
        "in layer 'objects', imports memory/stats.py of layer 'memory'",
    ),
    "python, the public package": (
        "objects/pool.py",
        "from bufpool import BufferPool\n",
        "in layer 'objects', imports __init__.py of layer 'public names'",
    ),
    "python, lazy": (
        "memory/buffer_pool.py",
        "def f():\n    from ..cli import run\n",
        "memory/buffer_pool.py:2: in layer 'memory', imports cli/run.py",
    ),
    "python, for types": (
        "memory/buffer_pool.py",
        "if TYPE_CHECKING:\n    from .. import BufferPool\n",
        "imports __init__.py of layer 'public names'",
    ),
    "a recipe that uses the wing of memory": (
        "resources/files.py",
        "from bufpool.memory.buffer_pool import BufferPool\n",
        "in layer 'resources', imports memory/buffer_pool.py of layer 'memory'",
    ),
    "stub": (
        "memory/native/_array_lease.pyi",
        "from ..stats import PoolStats\n",
        "memory/native/_array_lease.pyi:1: in layer 'memory native', imports memory/stats.py of layer 'memory'",
    ),
    "python, nowhere": (
        "memory/stats.py",
        "import bufpool.gone\n",
        "memory/stats.py:1: imports bufpool.gone, which no file here provides",
    ),
    "leaf": (
        "errors.py",
        "from ._version import __version__\n",
        "errors.py:1: imports _version.py, but must stand alone",
    ),
    "cycle of headers": (
        "_core/atomics.hpp",
        '#include "os_memory.hpp"\n',
        "a cycle: _core/atomics.hpp -> _core/os_memory.hpp -> _core/atomics.hpp",
    ),
    "cycle of modules": (
        "memory/native/_arena.pyx",
        "from ._array_lease cimport Lease\n",
        "a cycle: memory/native/_arena -> memory/native/_array_lease -> memory/native/_arena",
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
    assert len(arrows(package)) == 18


@pytest.mark.parametrize(("path", "text", "fault"), MUTANTS.values(), ids=MUTANTS)
def test_an_upward_import_is_reported(tmp_path: Path, path: str, text: str, fault: str) -> None:
    files = SOUND | {"_core/os_memory.hpp": '#include "atomics.hpp"\n', path: text}
    assert [found for found in faults(plant(tmp_path, files)) if fault in found], "this mutant lives"


def test_a_file_in_two_layers_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(layers.LAYERS, "another", layers.layer("", "memory/stats.*"))
    assert "memory/stats.py: in 2 layers" in faults(plant(tmp_path, SOUND))


@pytest.mark.parametrize(
    ("path", "text", "fault"),
    [
        ("_core/atomics.hpp", "#include <Python.h>\n", "_core/atomics.hpp:1: includes Python.h"),
        (
            "memory/core/slab.cpp",
            "#include <numpy/arrayobject.h>\n",
            "memory/core/slab.cpp:1: includes numpy/arrayobject.h",
        ),
        ("objects/core/object_pool.hpp", "void f(PyObject* x);\n", "objects/core/object_pool.hpp: names PyObject"),
        ("memory/core/arena.pxd", "cdef extern from *:\n    object f()\n", "memory/core/arena.pxd:2: names object"),
        ("memory/core/arena.pxd", "cimport numpy as np\n", "memory/core/arena.pxd:1: names numpy"),
        ("memory/core/arena.py", "", "memory/core/arena.py: is Python"),
    ],
)
def test_python_in_the_core_is_reported(tmp_path: Path, path: str, text: str, fault: str) -> None:
    assert fault in python_in_core(plant(tmp_path, SOUND | {path: text}))
