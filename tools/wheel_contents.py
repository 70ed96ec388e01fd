"""What a wheel of bufpool may hold and need, looked at without installing it."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

MOST_BYTES = 1_000_000
#: The newest manylinux that a wheel may ask for.
NEWEST_GLIBC = (2, 28)
CPP_RUNTIMES = ("libstdc++", "libc++", "libgcc_s", "libsupc++")
SHIPPED = (".py", ".pyi", ".pxd", ".hpp")


def faults(wheel: Path, sources: Path) -> Iterator[str]:
    """All that is wrong with a repaired wheel, beside the unpacked sdist that it was built from."""
    bytes_ = wheel.stat().st_size
    if bytes_ > MOST_BYTES:
        yield f"{bytes_:,} bytes are more than {MOST_BYTES:,}"
    label = glibc(wheel)
    if label is None or label > NEWEST_GLIBC:
        yield f"{platform(wheel)} is newer than manylinux_{NEWEST_GLIBC[0]}_{NEWEST_GLIBC[1]}"
    with zipfile.ZipFile(wheel) as archive:
        yield from misplaced(archive.namelist(), sources)
        for name in archive.namelist():
            if name.endswith(".so"):
                yield from linked(name, archive.read(name))


def platform(wheel: Path) -> str:
    """The last part of its name: manylinux_2_17_x86_64, perhaps with older names of the same after it."""
    return wheel.stem.split("-")[-1]


def glibc(wheel: Path) -> tuple[int, int] | None:
    """The oldest glibc that the wheel is labelled with; None for a label that is not manylinux."""
    versions = [(int(major), int(minor)) for major, minor in re.findall(r"manylinux_(\d+)_(\d+)_", platform(wheel))]
    return min(versions, default=None)


def misplaced(names: list[str], sources: Path) -> Iterator[str]:
    """Files that are missing, or that have no business in a wheel."""
    package = sources / "src" / "bufpool"
    expected = {
        f"bufpool/{path.relative_to(package).as_posix()}"
        for path in package.rglob("*")
        if path.suffix in SHIPPED or path.name == "py.typed"
    }
    expected |= {
        f"bufpool/{path.relative_to(package).with_suffix('.so').as_posix()}" for path in package.rglob("*.pyx")
    }
    here = set()
    for name in names:
        path = PurePosixPath(name)
        if name.endswith("/") or path.parts[0].endswith(".dist-info"):
            continue
        # A module's name carries the interpreter and the platform: _arena.cpython-312-x86_64-linux-gnu.so
        here.add(str(path.with_name(path.name.split(".")[0] + ".so")) if path.suffix == ".so" else name)
    yield from (f"{name} is missing" for name in sorted(expected - here))
    yield from (f"{name} does not belong there" for name in sorted(here - expected))


def linked(name: str, content: bytes) -> Iterator[str]:
    """What a compiled module shows to others and needs of them, but for its init function and the C library."""
    elf = ELFFile(io.BytesIO(content))
    dynamic = elf.get_section_by_name(".dynamic")
    assert isinstance(dynamic, DynamicSection), name
    for tag in dynamic.iter_tags("DT_NEEDED"):
        if tag.needed.startswith(CPP_RUNTIMES):
            yield f"{name} needs {tag.needed}"
    init = f"PyInit_{PurePosixPath(name).name.split('.')[0]}"
    shown = {
        symbol.name
        for symbol in elf.get_section_by_name(".dynsym").iter_symbols()
        if symbol["st_shndx"] != "SHN_UNDEF" and symbol["st_info"]["bind"] != "STB_LOCAL"
    }
    if shown - {"_init", "_fini"} != {init}:
        yield f"{name} shows {', '.join(sorted(shown))}, not {init} alone"
