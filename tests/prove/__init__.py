"""Proofs: bufpool tried much harder than a test suite can, each proof one line with its size. ``make prove`` runs them.

The suite runs a short form of each, from the same functions.
"""

from __future__ import annotations

from prove import ladders, model, mutants
from prove.proof import Family

FAMILIES: dict[str, Family] = {
    "model": model.proofs,
    "ladders": ladders.proofs,
    "mutants": mutants.proofs,
}
