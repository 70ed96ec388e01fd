"""``make wheels`` and ``make reproducible``: packages as strangers get them, built, looked at and tried.

The sdist is built once. Then for each Python: a wheel from it, with the network off and nothing but the declared build
requirements; auditwheel labels it with the oldest manylinux that it can run on; its contents are looked at; and it is
installed in an empty environment outside the tree, where the suite runs against it. With ``--twice`` all is built
again, elsewhere and as by somebody else, with another umask, time zone and locale, to the same bytes.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import building
import pythons
import wheel_contents

DIST = building.TREE / "dist"


class Made(NamedTuple):
    """A package, what was found about it, and what is wrong with it."""

    package: Path
    found: tuple[str, ...]
    wrong: tuple[str, ...] = ()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make wheels", description="Build, look at and try a wheel for each Python.")
    parser.add_argument("--pythons", default="", help="interpreters; all that are found if empty")
    parser.add_argument("--extras", default="test", help="of the package, installed beside the wheel")
    parser.add_argument("--twice", action="store_true", help="build all again elsewhere, and compare")
    parser.add_argument("--untried", action="store_true", help="leave out the suite")
    parser.add_argument("arguments", nargs="*", help="for pytest, after --")
    options = parser.parse_args()
    if not sys.platform.startswith("linux"):
        parser.error("wheels are made here on Linux alone; elsewhere `python -m cibuildwheel` makes this system's")
    try:
        chosen = pythons.find(shlex.split(options.pythons))
        made = make(chosen, options)
    except (pythons.NoPythonError, building.BuildError) as error:
        print(error, file=sys.stderr)
        return 1
    print(table(made))
    return 1 if any(each.wrong for each in made) else 0


def make(chosen: Sequence[pythons.Python], options: argparse.Namespace) -> list[Made]:
    """All of it. What was made before is thrown away."""
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    with tempfile.TemporaryDirectory(prefix="wheels-") as name:
        folder = Path(name)
        sdist = building.build_sdist(DIST, folder / "sdist")
        sources = building.unpack(sdist, folder / "sources")
        made = [Made(sdist, ("without network: " + (" ".join(building.offline()) or "pip's index is off"),))]
        if options.twice:
            place = folder / "another" / "place" / "sdist"
            again = building.build_sdist(fresh(folder, "again"), place, building.ANOTHER)
            made.append(compared(sdist, again))
        for python in chosen:
            print(f"== {sdist.name} on Python {python.version}: a wheel", flush=True)
            work = folder / python.version
            maker = Maker(python, sdist, sources, work)
            wheel = Path(shutil.copy2(maker.wheel("one", building.ONE), DIST))
            made.append(Made(wheel, (), tuple(wheel_contents.faults(wheel, sources))))
            if options.twice:
                made.append(compared(wheel, maker.wheel("another/place/altogether", building.ANOTHER)))
            if not options.untried:
                made.append(tried(wheel, python, options.extras, sources, work / "tried", options.arguments))
        return made


class Maker:
    """Makes the wheel of one Python, as often as asked, each time in another place and as by another builder."""

    def __init__(self, python: pythons.Python, sdist: Path, sources: Path, work: Path) -> None:
        self._sdist, self._work = sdist, work
        self._python = building.make_environment(python.path, work / "env")
        self._requirements = building.fetch_requirements(self._python, sources, fresh(work, "requirements"))

    def wheel(self, place: str, by: building.Builder) -> Path:
        """A repaired wheel, built in a folder of this name."""
        folder = self._work / place
        built = building.build_wheel(
            self._python, self._sdist, self._requirements, folder / "built", folder / "temporary", by
        )
        return building.repair(built, folder / "repaired", by)


def compared(first: Path, second: Path) -> Made:
    """Whether two builds gave the same bytes."""
    if first.name == second.name and first.read_bytes() == second.read_bytes():
        return Made(first, ("built twice, the same bytes",))
    return Made(first, (), (f"built again as {second.name}, other bytes",))


def tried(
    wheel: Path, python: pythons.Python, extras: str, sources: Path, elsewhere: Path, arguments: Sequence[str]
) -> Made:
    """The suite, as the sdist has it, against the wheel in an environment that has nothing else of the project."""
    inside = building.make_environment(python.path, elsewhere / "env", [f"{wheel}[{extras}]"])
    for name in ("tests", "pyproject.toml"):
        copy = shutil.copytree if (sources / name).is_dir() else shutil.copy2
        copy(sources / name, elsewhere / name)
    print(f"== {wheel.name}: the suite", flush=True)
    report = elsewhere / "report.xml"
    command = [str(inside), "-m", "pytest", f"--junit-xml={report}", *arguments]
    status = subprocess.run(command, cwd=elsewhere / "tests", env=building.environment(), check=False).returncode
    if status != 0:
        return Made(wheel, (), (f"pytest ended with status {status}",))
    return Made(wheel, (counts(report),))


def counts(report: Path) -> str:
    """What pytest counted: 1,234 passed, 5 skipped."""
    (suite,) = ElementTree.parse(report).getroot().iter("testsuite")
    ran, skipped = int(suite.get("tests", "0")), int(suite.get("skipped", "0"))
    return f"{ran - skipped:,} passed, {skipped:,} skipped"


def fresh(folder: Path, name: str) -> Path:
    """A new, empty folder."""
    (folder / name).mkdir(parents=True)
    return folder / name


def table(made: Sequence[Made]) -> str:
    """A line for each package: its name, the oldest glibc that it is for, its size, what was found."""
    rows = [("package", "glibc", "bytes", "")]
    for package in dict.fromkeys(each.package for each in made):
        about = [each for each in made if each.package == package]
        label = wheel_contents.glibc(package)
        outcome = [f"WRONG: {what}" for each in about for what in each.wrong]
        outcome += [what for each in about for what in each.found]
        for_glibc = ".".join(map(str, label)) if label else "-"
        rows.append((package.name, for_glibc, f"{package.stat().st_size:,}", "; ".join(outcome)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        f"{name:{widths[0]}}  {glibc:{widths[1]}}  {size:>{widths[2]}}  {found}".rstrip()
        for name, glibc, size, found in rows
    )


if __name__ == "__main__":
    sys.exit(main())
