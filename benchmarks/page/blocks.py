"""Which table stands in which place of a page, and the short table of the README."""

from __future__ import annotations

from reading import duels
from run_file import Run
from tables import (
    absent,
    by_size,
    connections,
    core,
    crowds,
    everything,
    free_threaded,
    losses,
    machine,
    marked,
    memory,
    peers,
    pieces,
    table,
)

#: Sizes of the expression at which memory counts, and not the interpreter.
LARGE = ("256 KiB", "1 MiB", "2 MiB", "4 MiB", "16 MiB", "64 MiB", "256 MiB")

#: What a newcomer wants to know: in words, the row, the rival, and at which sizes or of what.
HEADLINES = (
    (
        "`sqrt(a*a + b*b) + c*d`, unchanged, against plain NumPy",
        "expression",
        "plain",
        ("1 KiB", "2 MiB", "16 MiB", "64 MiB"),
    ),
    ("the same against `out=` by hand", "expression", "out= by hand", ("2 MiB", "64 MiB")),
    (
        "the same against glibc with its thresholds raised for the whole process",
        "expression",
        "glibc tuned",
        ("2 MiB", "64 MiB"),
    ),
    ("the same against one fused loop by numba", "expression-peers", "numba", ("2 MiB", "64 MiB")),
    ("four arrays at once, each page written, against `np.empty`", "four", "np.empty", ("64 KiB", "1 MiB", "8 MiB")),
    ("the same against a list of ready arrays", "four", "list", ("64 KiB", "1 MiB", "8 MiB")),
    (
        "nine functions of image code on 4K frames, unchanged, against plain NumPy: their mean",
        "real-code",
        "plain",
        ("geometric mean",),
    ),
    (
        "frames from thread to thread, each byte written, against plain NumPy",
        "handoff",
        "plain",
        ("from main, filled",),
    ),
    (
        "a database connection, rolled back on its return, against psycopg_pool",
        "connection",
        "psycopg_pool",
        ("no check",),
    ),
    ("the same, and tried with a query at each checkout", "connection", "psycopg_pool", ("a check",)),
    ("an object that needs no care, against a list with a lock", "lease", "list + Lock", ("with lease()",)),
    ("the same against `queue.SimpleQueue`", "lease", "queue.SimpleQueue", ("with lease()",)),
    (
        "two threads on two objects, against `queue.SimpleQueue`",
        "objects-threads",
        "queue.SimpleQueue",
        ("2 threads",),
    ),
)


def headlines(run: Run) -> str:
    """The README's table."""
    found = {(duel.row, duel.check.theirs, duel.check.label): marked(duel) for duel in duels(run)}
    lines = []
    for subject, row, rival, labels in HEADLINES:
        known = [label for label in labels if (row, rival, label) in found]
        where = " at {}" if len(labels) > 1 else ""
        cells = [found[row, rival, label] + where.format(label) for label in known]
        if cells:
            lines.append((subject, ", ".join(cells)))
    return table(("", "bufpool is … times as fast"), lines)


def lacking(run: Run) -> list[str]:
    """Rows that the README's table is of and the run has not: it is of an earlier bench, or of a part of it."""
    return list(dict.fromkeys(row for _, row, *_ in HEADLINES if row not in run.rows))


def blocks(run: Run, free: Run | None) -> dict[str, str]:
    """Every table, by the name of its place in a page; `free` is a run on a free-threaded interpreter."""
    return {
        "machine": machine(run),
        "losses": losses(run),
        "expression": by_size(run, "expression", "expression-peers", only=lambda label: label in LARGE),
        "expression-small": by_size(run, "expression", only=lambda label: label not in LARGE),
        "four": by_size(run, "four"),
        "empty": by_size(run, "empty"),
        "bytes": by_size(run, "bytes"),
        "pieces": pieces(run),
        "connections": connections(run),
        "peers": peers(run),
        "crowds": crowds(run),
        "core": core(run),
        "free-threaded": free_threaded(free),
        "memory": memory(run),
        "absent": absent(run),
        "everything": everything(run),
        "headlines": headlines(run),
    }
