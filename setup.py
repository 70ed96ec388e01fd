"""Build the extension modules of bufpool, and packages that are the same wherever they are built.

What else there is to say about the package stands in ``pyproject.toml``.

Every ``.pyx`` in the folder ``native`` of a wing becomes one extension module; a new file needs no change here.
``BUFPOOL_DEBUG=1`` in the environment gives the debug build: invariants checked, symbols kept, little optimisation.
"""

from __future__ import annotations

import gzip
import os
import re
import sys
import tarfile
import time
import tomllib
from pathlib import Path

import Cython
import numpy as np
from Cython.Build import cythonize
from Cython.Compiler import Options
from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

DEBUG = os.environ.get("BUFPOOL_DEBUG", "") not in ("", "0")

# Paths are relative, as setuptools wants them: a build always runs in the folder of this file.
PACKAGE = Path("src/bufpool")
CORES = (PACKAGE / "_core", PACKAGE / "memory/core", PACKAGE / "objects/core")
NATIVES = (PACKAGE / "memory/native", PACKAGE / "objects/native")
# State that exists once per process lives in the cores' own sources, linked into this module alone.
LINKED_WITH_CORES = "bufpool.memory.native._arena"

# A debug build lies beside the release build, so that switching between them never reuses the other's objects.
BUILD_BASE = "build/debug" if DEBUG else "build/release"
# What Cython writes depends on itself and on what it reads of NumPy, and two Pythons may have different ones.
TRANSLATED = Path(BUILD_BASE, "cython", f"cython-{Cython.__version__}-numpy-{np.__version__}")

MACROS: list[tuple[str, str | None]] = [
    # One wheel for every NumPy 2: build against the newest headers, call only what NumPy 2.0 has.
    ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
    ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION"),
]
if DEBUG:
    MACROS.append(("BUFPOOL_DEBUG", "1"))

DIRECTIVES = {
    "language_level": 3,
    # Without this, importing any one of the modules turns the GIL back on in free-threaded CPython.
    "freethreading_compatible": True,
    # Methods are CPython's own method descriptors, whose calls it specialises, and not Cython's function objects
    # (measured: 15 to 20 ns of each call). What `inspect.signature` reads then stands in front of the docstring.
    "binding": False,
    "embedsignature": True,
    "embedsignature.format": "clinic",
    # No pickles of raw pointers: a class that says nothing about it then refuses to be pickled.
    "auto_pickle": False,
    # C semantics of division in both builds: the sizes are unsigned, and zero is refused before.
    "cdivision": True,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
}

MSVC_COMPILE = ["/std:c++17", "/Zc:__cplusplus", "/GR-", *(["/Od", "/Zi", "/UNDEBUG"] if DEBUG else ["/O2"])]

UNIX_COMPILE = [
    "-std=c++17",
    # Nothing here throws or asks for a type at run time: with both off, no C++ runtime library is needed.
    "-fno-exceptions",
    "-fno-rtti",
    "-fvisibility=hidden",
    # NDEBUG comes from Python's own flags; ours come later and win.
    *(["-O1", "-g", "-UNDEBUG", "-fno-omit-frame-pointer"] if DEBUG else ["-O3", "-g0"]),
]
# Calls within a module, and from it into Python, go straight to their target instead of through the PLT.
ELF_COMPILE = ["-fno-semantic-interposition", "-fno-plt"]
# The C++ driver always names libstdc++; the linker drops it again because nothing needs it.
ELF_LINK = ["-Wl,--as-needed"]


class BuildExtensions(build_ext):
    """Translate and compile; only a real build does, so that metadata and the sdist come without Cython's work."""

    def build_extensions(self) -> None:
        """Turn each ``.pyx`` into C++ and give every extension the flags of the compiler at hand."""
        compile_flags, link_flags = _flags(self.compiler.compiler_type)
        # A warning of Cython's stops a debug build; it must not stop a user with a newer Cython.
        Options.warning_errors = DEBUG
        translated = cythonize(
            self.extensions,
            build_dir=str(TRANSLATED),
            compiler_directives=DIRECTIVES,
            include_path=["src"],
            # An interpreter under a sanitizer may not survive the start of helper processes: none for one processor.
            nthreads=_jobs() if sys.platform == "linux" and _jobs() > 1 else 0,
            # Cython looks at the times of its sources; the directives above count as well.
            force=_older_than_this_file(TRANSLATED),
        )
        sources = {extension.name: extension.sources for extension in translated}
        for extension in self.extensions:
            # setuptools keeps notes on its own Extension objects: take only the sources from Cython's copies.
            extension.sources = sources[extension.name]
            extension.extra_compile_args = compile_flags
            extension.extra_link_args = link_flags
        super().build_extensions()


class BuildSdist(sdist):
    """An archive that is the same, byte for byte, wherever and whenever it is made with one ``SOURCE_DATE_EPOCH``."""

    def make_archive(
        self,
        base_name: str,
        format: str,
        root_dir: str | None = None,
        base_dir: str | None = None,
        owner: str | None = None,
        group: str | None = None,
    ) -> str:
        """Files in the order of their names, of one time, and nobody's."""
        if format != "gztar" or base_dir is None:
            return str(super().make_archive(base_name, format, root_dir, base_dir, owner, group))
        made = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))

        def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
            member.mtime = made
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mode = _mode(member.mode, folder=member.isdir())
            return member

        path = f"{base_name}.tar.gz"
        with (
            Path(path).open("wb") as file,
            # Without a name and a time of its own in its header.
            gzip.GzipFile("", "wb", 9, file, mtime=made) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            archive.add(base_dir, filter=plain)  # a folder's files in the order of their names
        return path


class BuildWheel(bdist_wheel):
    """A wheel that says nothing of its builder's umask: the modes of its files are the same everywhere."""

    def write_wheelfile(self, wheelfile_base: str) -> None:  # type: ignore[override]
        """Write the last file, and with all of them in place, before they are packed, set their modes."""
        super().write_wheelfile(wheelfile_base)
        for path in Path(self.bdist_dir).rglob("*"):
            path.chmod(_mode(path.stat().st_mode, folder=path.is_dir()))


def _mode(of: int, *, folder: bool) -> int:
    """Everybody reads; the owner alone writes; what its owner may run, everybody may."""
    return 0o755 if folder or of & 0o100 else 0o644


def _flags(compiler: str) -> tuple[list[str], list[str]]:
    """For compiling and for linking."""
    if compiler == "msvc":
        return MSVC_COMPILE, []
    if sys.platform in ("darwin", "win32", "cygwin"):
        return UNIX_COMPILE, []
    return UNIX_COMPILE + ELF_COMPILE, ELF_LINK


def _older_than_this_file(translated: Path) -> bool:
    here = Path("setup.py").stat().st_mtime
    outputs = [translated / path.with_suffix(".cpp") for folder in NATIVES for path in folder.glob("*.pyx")]
    return any(output.exists() and output.stat().st_mtime < here for output in outputs)


LINK = re.compile(
    r"^```.*?^```|`[^`]+`"  # code, where brackets mean something else
    r"|\]\((?![a-z]+:|#)(?P<path>[^)\s]+)",
    re.MULTILINE | re.DOTALL,
)
IMAGES = (".gif", ".jpg", ".png", ".svg")


def _long_description() -> str:
    """The README. Its links lead to the version's tag in the repository, if ``[project.urls]`` says where that is."""
    text = Path("README.md").read_text(encoding="utf-8")
    urls = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"].get("urls", {})
    source = urls.get("Source") or urls.get("Repository")
    if source is None:
        return text
    stated = Path("src/bufpool/_version.py").read_text(encoding="utf-8")
    (version,) = re.findall(r'^__version__ = "(.+)"$', stated, re.MULTILINE)

    def absolute(link: re.Match[str]) -> str:
        path = link["path"]
        if path is None:
            return link[0]
        kind = "raw" if path.endswith(IMAGES) else "blob"
        return f"]({source.rstrip('/')}/{kind}/v{version}/{path.removeprefix('./')}"

    return LINK.sub(absolute, text)


def _jobs() -> int:
    return os.cpu_count() or 1


def _extensions() -> list[Extension]:
    """One extension for each ``.pyx``; an edit to any header or ``.pxd`` rebuilds them all."""
    headers = [
        path for folder in (*CORES, *NATIVES) for path in folder.glob("*") if path.suffix in (".hpp", ".pxd")
    ]
    depends = ["setup.py", *sorted(path.as_posix() for path in headers)]
    extensions = []
    sources = sorted(path.as_posix() for folder in CORES for path in folder.glob("*.cpp"))
    for path in sorted(path for folder in NATIVES for path in folder.glob("*.pyx")):
        name = ".".join(path.relative_to("src").with_suffix("").parts)
        extensions.append(
            Extension(
                name,
                [path.as_posix(), *(sources if name == LINKED_WITH_CORES else [])],
                include_dirs=["src", np.get_include()],
                define_macros=MACROS,
                depends=depends,
                language="c++",
            )
        )
    return extensions


# Cython's helper processes import this file where Python does not fork them (3.14 and later on Linux).
if __name__ == "__main__":
    setup(
        long_description=_long_description(),
        long_description_content_type="text/markdown",
        ext_modules=_extensions(),
        cmdclass={"bdist_wheel": BuildWheel, "build_ext": BuildExtensions, "sdist": BuildSdist},
        options={"build": {"build_base": BUILD_BASE}, "build_ext": {"parallel": _jobs()}},
    )
