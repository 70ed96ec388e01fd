"""Proofs: bufpool tried much harder than a test suite can, each proof one line with its size. ``make prove`` runs them.

The suite runs a short form of each, from the same functions.

- families: ``model``, ``stress``, ``deaths``, ``faults``, ``exits``, ``tasks``, ``soak``, ``extension``, ``mutants``:
  what is tried, and at what size; ``elsewhere``, run by ``make portable``, compiles and runs for other systems;
- their programs: ``at_random``, ``objects_at_random`` (extension); ``cancelled`` with its loop ``stepping`` (tasks);
  ``starved``, ``interrupted``, ``processes``, ``operations`` and ``fail_nth.cpp`` (faults); those in C++ are in
  ``tests/core`` and ``tests/model``;
- seeded bugs: ``bugs/`` is the table, ``bug`` what one is, ``copies`` what they are seeded into, ``seed`` the command;
- tools: ``proof`` is one line, ``compiled`` C++ programs, ``sanitized`` builds of the package, ``separate`` processes.
"""

from __future__ import annotations

from prove import cancelled, deaths, elsewhere, exits, extension, faults, model, mutants, soak, stress
from prove.proof import Family

FAMILIES: dict[str, Family] = {
    "model": model.proofs,
    "stress": stress.proofs,
    "deaths": deaths.proofs,
    "faults": faults.proofs,
    "exits": exits.proofs,
    "tasks": cancelled.proofs,
    "soak": soak.proofs,
    "extension": extension.proofs,
    "mutants": mutants.proofs,
    "portable": elsewhere.proofs,
}

#: Run when it is named, and not with the others: it has a compiler to fetch, and takes minutes the first time.
APART = ("portable",)
