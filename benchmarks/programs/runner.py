"""Runs programs in fresh processes, contenders in turn."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from datetime import date
from importlib import metadata
from typing import Any

from benchmarks.harness.allocators import OWN_GROUP
from benchmarks.harness.machine import describe
from benchmarks.programs.catalogue import Program
from benchmarks.programs.contenders import PLAIN, POOLED, Contender
from benchmarks.programs.figures import Outcome, Run, Series
from benchmarks.programs.report import IDLE

LIMIT = 300  #: seconds that one process may take
#: By then a pool has given large idle blocks back: a second after its `max_idle`, which is 10 s by default.
IDLE_SECONDS = 12


class ProgramError(Exception):
    """A program did not come to its end."""


class MissingModuleError(ProgramError):
    """A program imports a module that is not installed."""


def start(program: Program, contender: Contender, idle: float = 0) -> dict[str, Any]:
    """Run the program once and return what it reported."""
    environment = contender.environment() | ({IDLE: str(idle)} if idle else {})
    command = contender.command(program.file, program.arguments)
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False, **OWN_GROUP
        )
    except subprocess.TimeoutExpired:
        raise ProgramError(f"took more than {LIMIT} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise ProgramError(f"exit status {done.returncode}" + (f": {said[-1].strip()}" if said else ""))
    try:
        reported = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise ProgramError(f"printed no figures: {done.stdout[-200:]!r}") from None
    if "missing" in reported:
        raise MissingModuleError(f"needs {reported['missing']}: pip install 'bufpool[programs]'")
    return dict(reported)


def measure(program: Program, contenders: Sequence[Contender], rounds: int, say: Callable[[str], None]) -> Outcome:
    """Run the program on every contender in every round, in reversed order in every other one.

    A run on plain NumPy that is not counted comes first: it brings files into the page cache.
    """
    outcome = Outcome(program.kind, program.about)
    try:
        start(program, PLAIN)
    except MissingModuleError as error:
        outcome.missing = str(error)
        return outcome
    except ProgramError as error:
        outcome.failures[PLAIN.name] = str(error)
        return outcome
    outcome.series = {contender.name: Series() for contender in contenders}
    for turn in range(rounds):
        for contender in contenders[:: -1 if turn % 2 else 1]:
            if contender.name in outcome.failures:
                continue
            say(f"{program.name}, round {turn + 1} of {rounds}, {contender.name}")
            waits = turn == 0 and program.kind == "job" and contender in (PLAIN, POOLED)
            try:
                outcome.series[contender.name].add(start(program, contender, IDLE_SECONDS if waits else 0))
            except ProgramError as error:
                outcome.failures[contender.name] = f"round {turn + 1}: {error}"
                del outcome.series[contender.name]
    return outcome


def empty_run(programs: Sequence[Program], contenders: Sequence[Contender], rounds: int) -> Run:
    """A run without figures yet: the machine, the date, versions, and which contenders cannot run here."""
    versions = {}
    for package in sorted({"bufpool", "numpy", *(each for program in programs for each in program.packages)}):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # the programs that need it say so
    absent = {contender.name: contender.missing() for contender in contenders if contender.missing()}
    there = [contender for contender in contenders if contender.name not in absent]
    versions |= {contender.allocator: contender.library() for contender in there if contender.library()}
    names = [contender.name for contender in contenders]
    return Run(describe(), date.today().isoformat(), rounds, versions, names, absent)
