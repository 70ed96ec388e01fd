"""Checks that try bufpool much harder than a test suite can; ``make prove`` runs them and prints one line for each.

The suite runs a short form of each, from the same functions.

- families, each a module that says what is tried and at what size: ``model``, ``stress``, ``kills``, ``faults``,
  ``exits``, ``cancellation``, ``soak``, ``extension``, ``mutants``; ``portability`` compiles for other systems;
- their programs: ``random_memory`` and ``random_objects`` (extension); ``stepping_loop``, an event loop that runs one
  step at a time (cancellation); ``allocation_failures``, ``interrupts``, ``processes``, ``operations`` and
  ``fail_nth.cpp`` (faults); programs in C++ are in ``core`` and ``model``;
- seeded bugs: ``bugs`` is the table, ``bug`` one entry, ``copies`` the copies they are seeded into, ``seed_bugs`` the
  command;
- tools: ``check`` is one line, ``cpp_programs`` compiles C++, ``sanitizers`` builds the package under a sanitizer,
  ``subprocesses`` runs Python programs, ``references`` counts what ends at once;
- ``numpy_suite`` runs NumPy's own tests under a pool.
"""

from __future__ import annotations

from tests.verify import cancellation, exits, extension, faults, kills, model, mutants, portability, soak, stress
from tests.verify.check import Family

FAMILIES: dict[str, Family] = {
    "model": model.checks,
    "stress": stress.checks,
    "kills": kills.checks,
    "faults": faults.checks,
    "exits": exits.checks,
    "cancellation": cancellation.checks,
    "soak": soak.checks,
    "extension": extension.checks,
    "mutants": mutants.checks,
    "portable": portability.checks,
}

#: Run when it is named, and not with the others: it has a compiler to fetch, and takes minutes the first time.
APART = ("portable",)
