"""An object of a compiled class that was never set up refuses what it cannot do; it does not crash the interpreter."""

from __future__ import annotations

import re

import pytest

from tests.support import uninitialized_objects
from tests.support.checkout import ROOT
from tests.support.programs import python

SOURCES = ROOT / "src"


def test_nothing_that_one_can_do_with_a_bare_object_crashes() -> None:
    first, crashes = 0, []
    while True:
        ran = python("-m", "tests.support.uninitialized_objects", first, timeout=300, cwd=ROOT)
        *_, last = ran.stdout.splitlines() or [""]
        if last == "end" and ran.returncode == 0:
            break
        crashes.append(f"{last}: exit status {ran.returncode}: {ran.stderr}")
        if not last[:1].isdecimal():
            break
        first = int(last.split()[0]) + 1
    assert crashes == []


@pytest.mark.skipif(not SOURCES.is_dir(), reason="no source tree here: this test runs beside an installed wheel")
def test_every_compiled_class_is_tried() -> None:
    written = {
        (".".join(file.relative_to(SOURCES).with_suffix("").parts), name)
        for file in SOURCES.glob("bufpool/*/native/*.pyx")
        for name in re.findall(r"^cdef class (\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert written
    assert written - {(cls.__module__, cls.__name__) for cls in uninitialized_objects.classes()} == set()
