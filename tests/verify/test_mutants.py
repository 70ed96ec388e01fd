"""The machinery of the seeded bugs: what is caught, what is missed, and that a wrong table is neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from tests.verify.bug import Bug, Ladder, Suite, TableError
from tests.verify.bugs import BUGS
from tests.verify.mutants import SAMPLE, Gate, checks, found, judged, lacks, patience

pytestmark = [pytest.mark.skipif(bool(lacks()), reason=lacks()), pytest.mark.slow]

RULES = Ladder("arena_rules", 20)
STATS = Suite("memory/test_stats.py -k hit_rate")

CAUGHT = Bug("misses are hits", "memory/stats.py", "hits=sum([each.hits ", "hits=sum([each.misses ", STATS)
HARMLESS = Bug(
    "a comment", "memory/stats.py", "    checkouts = self.hits", "    # In all.\n        checkouts = self.hits", STATS
)
IN_CORE = Bug("never at home", "memory/core/arena.cpp", "slab == nullptr ? nullptr : slab->arena;", "nullptr;", RULES)
HARMLESS_IN_CORE = Bug("a comment", "memory/core/arena.cpp", "// --- release ---", "// --- back -----", RULES)
HANGS = Bug(
    "for ever", "_core/atomics.hpp", "void unlock() noexcept {", "void unlock() noexcept { while (true) {} ", RULES
)


def words(*bugs: Bug) -> list[str]:
    return [each.word for each in judged(bugs)]


def test_a_bug_is_caught_and_a_comment_is_missed() -> None:
    assert words(CAUGHT, HARMLESS, IN_CORE, HARMLESS_IN_CORE) == ["caught", "missed", "caught", "missed"]


def test_a_missed_bug_is_a_violation_and_is_named() -> None:
    found_out = found([HARMLESS_IN_CORE], of=7)
    assert found_out.size == "sample of 1 of 7 seeded bugs: 0 caught"
    assert [each.partition(": arena")[0] for each in found_out.violations] == ["missed: a comment"]


def test_a_module_is_built_with_its_bug_and_restored(tmp_path: Path) -> None:
    """Nothing of the first stays in the copy when the second is judged."""
    checkouts = Suite("memory/test_scratch.py -k same_array")
    bugs = [
        Bug(
            "two",
            "memory/native/_scratch.pyx",
            "self.slots.acquire()",
            "(self.slots.acquire(), 1)",
            checkouts,
        ),
        Bug(
            "nothing",
            "memory/native/_array_lease.pyx",
            "    # One reference is `array`.",
            "    # One is `array`.",
            checkouts,
        ),
    ]
    assert [each.word for each in Gate(tmp_path, jobs=1).judge(bugs)] == ["caught", "missed"]


@pytest.mark.parametrize(
    "bug",
    [
        Bug("no such text", "memory/core/arena.cpp", "no such text", "", RULES),
        Bug("it stands there often", "memory/core/arena.cpp", "return", "", RULES),
        Bug("does not compile", "memory/core/arena.cpp", "// --- release ---", "return", RULES),
        Bug(
            "no such test",
            "memory/stats.py",
            "hits=sum([each.hits ",
            "hits=sum(",
            Suite("memory/test_stats.py -k nonesuch"),
        ),
        Bug("cannot be imported", "memory/stats.py", "hits=sum([each.hits ", "hits=sum(", STATS),
    ],
    ids=lambda bug: bug.name,
)
def test_a_wrong_table_is_not_a_catch(bug: Bug) -> None:
    (verdict,) = judged([bug])
    assert (verdict.word, bool(verdict.why)) == ("broken", True)


def test_a_test_that_fails_by_itself_is_not_a_catch() -> None:
    fails = Suite("memory/test_stats.py nonesuch.py")
    assert words(Bug("fails anyway", CAUGHT.file, CAUGHT.text, CAUGHT.instead, fails)) == ["broken"]


def test_a_hang_counts_if_the_clean_run_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    assert patience(2) >= 20
    monkeypatch.setattr("tests.verify.mutants.patience", lambda clean: 2 + clean)
    (verdict,) = judged([HANGS])
    assert (verdict.word, verdict.why) == ("caught", "it hangs")


def test_the_table_is_in_order() -> None:
    """Its texts stand once in the files as they are, so that a change of a source shows here and not in a slow run."""
    source = ROOT / "src" / "bufpool"
    wrong = []
    for bug in BUGS:
        try:
            assert bug.seeded((source / bug.file).read_text(encoding="utf-8")) != bug.text
        except TableError as error:
            wrong.append(f"{bug.name}: {error}")
    assert wrong == []
    names = [bug.name for bug in BUGS]
    assert len(set(names)) == len(names)
    assert set(SAMPLE) <= {bug.name for bug in BUGS if not bug.hidden}
    assert {Path(bug.file).parent.name for bug in BUGS if bug.name in SAMPLE} > {"_core", "core", "native"}


def test_the_tests_that_the_table_names_exist() -> None:
    here = ROOT / "tests"
    missing = []
    for bug in BUGS:
        if isinstance(bug.noticed_by, Suite):
            where, *options = bug.noticed_by.tests.split()
            file, _, test = where.partition("::")
            words = f"def {test.partition('[')[0]}(" if test else " ".join(options).removeprefix("-k ")
            if words not in (here / file).read_text(encoding="utf-8"):
                missing.append(f"{bug.name}: {bug.noticed_by}")
    assert missing == []


def test_a_sample_of_the_seeded_bugs_is_caught() -> None:
    (sample,) = checks(False)
    assert sample.run().violations == ()
