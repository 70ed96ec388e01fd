"""Proofs: bufpool tried much harder than a test suite can, each proof one line with its size. ``make prove`` runs them.

The suite runs a short form of each, from the same functions.
"""

from __future__ import annotations

from prove import deaths, extension, faults, ladders, model, mutants
from prove.proof import Family

FAMILIES: dict[str, Family] = {
    "model": model.proofs,
    "stress": ladders.proofs,
    "deaths": deaths.proofs,
    "faults": faults.proofs,
    "extension": extension.proofs,
    "mutants": mutants.proofs,
}
