"""``make programs``: what the benchmark of whole programs measures, and how it judges."""

from __future__ import annotations

import re
import sys
import textwrap
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

if not sys.platform.startswith("linux"):
    pytest.skip("resident memory is read from /proc", allow_module_level=True)

from benchmarks.programs import __main__ as command
from benchmarks.programs import runner, show
from benchmarks.programs.catalogue import HERE, JOBS, PROGRAMS, Program
from benchmarks.programs.contenders import CONTENDERS, JEMALLOC, JEMALLOC_KEEPS, MIMALLOC, PLAIN, POOLED, TUNED
from benchmarks.programs.figures import Outcome, Run, Series, load, save
from benchmarks.programs.report import digest
from benchmarks.programs.targets import Verdict, judge, judge_mean

# Made-up figures -----------------------------------------------------------------------------------------------------

MACHINE = {
    "cpu": "A CPU",
    "cores": 2,
    "system": "Linux",
    "python": "CPython 3.11.7 (GIL on)",
    "numpy": "2.4.6",
    "bufpool": "0.1.0",
}


def series(kind: str = "job", **changed) -> Series:
    """Three equal rounds of a second and 500 MiB, 100 of them there before the work."""
    figures = {"seconds": 1.0, "faults": 1000, "imports": 100.0, "peak": 500.0, "end": 120.0}
    figures |= {"idle": 120.0} if kind == "job" else {"mean": 400.0}
    figures |= changed
    sha = figures.pop("sha", "abc")
    rounds = {name: [value] * (1 if name == "idle" else 3) for name, value in figures.items()}
    return Series(**rounds, sha=[sha])


def run_of(kind: str, pooled: dict | None = None, others: dict | None = None, **rest) -> Run:
    """One program of the kind on every contender; each has the same figures where nothing is said."""
    changes = {POOLED.name: pooled or {}, **(others or {})}
    found = {name: series(kind, **changes.get(name, {})) for name in CONTENDERS}
    return Run(
        MACHINE, "2026-11-30", 3, {}, list(CONTENDERS), {}, {"it": Outcome(kind, "a program", series=found)}, **rest
    )


def verdict(run: Run, what: str, against: str = PLAIN.name) -> Verdict:
    [found] = [each for each in judge(run, "it") if each.what == what and each.against == against]
    return found


@pytest.mark.parametrize(
    ("kind", "what", "kept", "missed"),
    [
        ("job", "time", {"seconds": 1.03}, {"seconds": 1.031}),
        ("job", "peak", {"peak": 575.0}, {"peak": 575.6}),
        ("job", "idle at end", {"idle": 184.0}, {"idle": 184.2}),
        ("pattern", "mean, of peak", {"mean": 628.0}, {"mean": 628.5}),
        ("pattern", "peak", {"peak": 708.0}, {"peak": 708.5}),
        ("large array", "time", {"seconds": 1.2}, {"seconds": 1.201}),
        ("large array", "mean", {"mean": 460.0}, {"mean": 460.5}),
        ("large array", "peak", {"peak": 580.0}, {"peak": 580.5}),
    ],
)
def test_each_target_is_met_up_to_its_limit(kind, what, kept, missed):
    assert verdict(run_of(kind, kept), what).holds is True
    assert verdict(run_of(kind, missed), what).holds is False


def test_a_job_is_compared_with_tuned_glibc():
    slow = {PLAIN.name: {"seconds": 2.0}}
    assert verdict(run_of("job", {"seconds": 1.05}, slow), "time", TUNED.name).holds is True
    assert verdict(run_of("job", {"seconds": 1.051}, slow), "time", TUNED.name).holds is False


@pytest.mark.parametrize("fastest", [PLAIN, TUNED, JEMALLOC, JEMALLOC_KEEPS, MIMALLOC])
def test_a_pattern_is_compared_with_the_fastest(fastest):
    others = {name: {"seconds": 2.0} for name in CONTENDERS if name not in (fastest.name, POOLED.name)}
    assert verdict(run_of("pattern", {"seconds": 1.05}, others), "time", fastest.name).holds is True
    assert verdict(run_of("pattern", {"seconds": 1.051}, others), "time", fastest.name).holds is False


def test_memory_from_before_a_pattern_is_deducted():
    assert verdict(run_of("pattern", {"imports": 150.0, "peak": 758.0}), "peak").holds is True
    assert verdict(run_of("pattern", {"imports": 50.0, "peak": 700.0}), "peak").holds is False


@pytest.mark.parametrize(("seconds", "holds"), [(0.95, True), (0.951, False)])
def test_the_geometric_mean_of_all_jobs_is_judged(seconds, holds):
    run = run_of("job", {"seconds": seconds})
    fast, slow = (run_of("job", {"seconds": factor * seconds}).programs["it"] for factor in (0.5, 2.0))
    run.programs = dict.fromkeys(JOBS, run.programs["it"])
    run.programs |= {JOBS[0]: fast, JOBS[1]: slow}  # an arithmetic mean would be more
    assert judge_mean(run).holds is holds


def test_the_mean_of_the_jobs_needs_all_of_them():
    run = run_of("job", {"seconds": 0.5})
    run.programs = dict.fromkeys(JOBS[1:], run.programs["it"])
    assert judge_mean(run).holds is None
    assert judge_mean(run).note.endswith(f"not measured: {JOBS[0]}")


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    run = run_of("job")
    run.programs["it"].series[POOLED.name].seconds = [1.0, 5.0, 6.0]
    run.programs["it"].series[PLAIN.name].seconds = [2.0, 5.0, 2.0]
    assert verdict(run, "time").figure == "1.000x"  # that of the medians is 2.5


def test_results_must_be_the_same_everywhere():
    assert verdict(run_of("job"), "results").holds is True
    found = verdict(run_of("job", {"sha": "other"}), "results")
    assert (found.holds, found.note) == (False, "of bufpool")
    run = run_of("pattern")
    run.programs["it"].series[MIMALLOC.name].sha.append("other")
    assert verdict(run, "results").note == "of mimalloc"


def test_a_missing_contenders_targets_are_not_judged():
    run = run_of("job")
    del run.programs["it"].series[TUNED.name]
    run.absent[TUNED.name] = "n/a: needs Linux with glibc"
    found = verdict(run, "time", TUNED.name)
    assert (found.holds, found.note) == (None, "glibc tuned: n/a: needs Linux with glibc")
    assert "glibc tuned: n/a: needs Linux with glibc" in show.summary_text(run)
    assert "1 could not be judged" in show.summary_text(run)


def test_the_fastest_and_the_missing_are_named():
    run = run_of("pattern", others={PLAIN.name: {"seconds": 0.5}})
    del run.programs["it"].series[JEMALLOC.name]
    run.absent[JEMALLOC.name] = "not installed: apt-get install libjemalloc2"
    found = verdict(run, "time", PLAIN.name)
    assert (found.holds, found.note) == (False, "without jemalloc")


def test_a_rival_that_was_not_asked_for_has_no_target():
    run = replace(run_of("job"), contenders=[PLAIN.name, POOLED.name])
    assert TUNED.name not in {each.against for each in judge(run, "it")}


def test_the_text_has_every_verdict_in_100_columns():
    run = run_of("pattern", {"seconds": 1234.5678, "peak": 123456.7, "sha": "other"})
    run.programs["it"].failures[PLAIN.name] = "exit status 1: " + "words " * 60
    text = show.program_text(run, "it")
    assert max(map(len, text.splitlines())) <= 100
    assert len(re.findall(r"(yes|NO)$", text, re.MULTILINE)) == 4
    assert "MISSED" in show.summary_text(run)


def test_a_run_comes_back_from_its_file(tmp_path):
    run = run_of("job")
    run.programs["other"] = Outcome("pattern", "another", missing="needs torch", failures={"bufpool": "exit status 1"})
    save(run, tmp_path / "run.json")
    assert load(tmp_path / "run.json") == run


def test_tables_have_all_programs_and_contenders():
    run = run_of("job", {"seconds": 1.234, "peak": 567.0})
    run.programs["pattern"] = run_of("pattern").programs["it"]
    run.programs["broken"] = Outcome("job", "a broken one", failures={PLAIN.name: "exit status 1"})
    run.absent[JEMALLOC.name] = "not installed"
    jobs, patterns = (
        table.replace("\N{NO-BREAK SPACE}", " ") for table in (show.jobs_table(run), show.patterns_table(run))
    )
    assert "| it: a program | 1.00 s, 500 MiB | 1.23 s, 567 MiB |" in jobs
    assert "| pattern: a program | 1.00 s, 300, 400 MiB |" in patterns
    assert "- broken on plain NumPy failed: exit status 1" in jobs
    assert "- jemalloc: not installed" in jobs
    assert "broken" not in patterns


# Tiny programs -------------------------------------------------------------------------------------------------------


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Makes programs from sources and puts them in place of the real ones."""
    monkeypatch.setattr(runner, "IDLE_SECONDS", 0.1)
    monkeypatch.setattr(command, "PROGRAMS", {})

    def add(name: str, source: str, kind: str = "job") -> Program:
        file = tmp_path / f"{name}.py"
        file.write_text(textwrap.dedent(source), encoding="utf-8")
        command.PROGRAMS[name] = Program(name, file, "tiny", kind)
        return command.PROGRAMS[name]

    return add


JOB = """
    import numpy as np

    def work():
        return [np.ones(64 << 20, np.uint8), np.arange(5)]
    """
PATTERN = """
    import numpy as np

    def work():
        array = np.ones(64 << 20, np.uint8)
        yield
        last = array[-1]
        del array
        yield
        return [last]
    """


def measured(capsys, tmp_path, *options: str) -> tuple[int, str, Run]:
    """The exit status, what was printed, what was stored; on plain NumPy and bufpool alone."""
    file = tmp_path / "run.json"
    status = command.main(["--rounds", "2", "--contender", PLAIN.name, "--file", str(file), *options])
    return status, capsys.readouterr().out, load(file)


def test_two_programs_are_measured(programs, capsys, tmp_path):
    programs("job", JOB)
    programs("pattern", PATTERN, kind="pattern")
    _, text, run = measured(capsys, tmp_path)
    assert list(run.programs) == ["job", "pattern"]
    for name, outcome in run.programs.items():
        assert list(outcome.series) == [PLAIN.name, POOLED.name]
        assert {len(each.seconds) for each in outcome.series.values()} == {2}
        assert verdict(replace(run, programs={"it": outcome}), "results").holds is True
        assert f"{name}: tiny" in text
    job, pattern = (run.programs[name].series[PLAIN.name] for name in ("job", "pattern"))
    assert [len(job.idle), len(job.mean), len(pattern.idle), len(pattern.mean)] == [1, 0, 0, 2]
    assert job.rounds("work peak") == [pytest.approx(64, abs=4)] * 2
    assert job.end == pytest.approx(job.imports, abs=4)
    assert pattern.rounds("work peak") == [pytest.approx(64, abs=4)] * 2
    assert pattern.rounds("work mean") == [pytest.approx(32, abs=4)] * 2


def test_contenders_take_turns_in_reversed_order(programs):
    said = []
    runner.measure(programs("job", JOB), [PLAIN, POOLED, TUNED], 2, said.append)
    there = [words.rpartition(", ")[2] for words in said]
    assert there == [PLAIN.name, POOLED.name, TUNED.name, TUNED.name, POOLED.name, PLAIN.name]


def test_bufpool_and_allocators_are_in_force(programs):
    program = programs(
        "who",
        """
        import os
        import numpy as np
        from numpy._core.multiarray import get_handler_name

        def work():
            words = get_handler_name(np.ones(1000)), os.environ.get("GLIBC_TUNABLES", ""), os.environ["OMP_NUM_THREADS"]
            return [np.array(words)]
        """,
    )
    contenders = [PLAIN, POOLED, TUNED]
    outcome = runner.measure(program, contenders, 1, lambda words: None)
    assert len({each.sha[0] for each in outcome.series.values()}) == 3


def test_jemalloc_runs_by_default_and_without_decay(monkeypatch):
    monkeypatch.setattr("benchmarks.programs.contenders.environment", lambda name: {"MALLOC_CONF": name})
    assert "MALLOC_CONF" not in JEMALLOC.environment()
    assert JEMALLOC_KEEPS.environment()["MALLOC_CONF"] == "jemalloc"


def test_a_program_that_fails_is_shown_and_the_others_go_on(programs, capsys, tmp_path):
    programs("broken", "def work():\n    raise ValueError('no slices')\n")
    programs("job", JOB)
    status, text, run = measured(capsys, tmp_path, "--strict")
    assert run.programs["broken"].failures == {PLAIN.name: "exit status 1: ValueError: no slices"}
    assert "plain NumPy: failed: exit status 1: ValueError: no slices" in text
    assert len(run.programs["job"].series[POOLED.name].seconds) == 2
    assert status == 1


def test_a_failing_contender_does_not_stop_the_others(programs, capsys, tmp_path):
    programs("picky", "import sys\n\ndef work():\n    assert 'bufpool' not in sys.modules, 'pooled'\n    return [1]\n")
    _, text, run = measured(capsys, tmp_path)
    found = run.programs["picky"]
    assert found.failures == {POOLED.name: "round 1: exit status 1: AssertionError: pooled"}
    assert list(found.series) == [PLAIN.name]
    assert "bufpool: round 1: exit status 1: AssertionError: pooled" in text
    assert {each.holds for each in judge(run, "picky") if each.what != "results"} == {None}


def test_a_result_that_differs_is_reported(programs, capsys, tmp_path):
    programs("differs", "import sys\n\ndef work():\n    return [float('bufpool' in sys.modules)]\n")
    _, text, run = measured(capsys, tmp_path)
    assert re.search(r"results .* different .* NO\n +of bufpool", text)
    assert show.verdicts(run)[-1].holds is False


def test_a_result_that_changes_is_reported(programs, capsys, tmp_path):
    programs("changes", "import os\n\ndef work():\n    return [os.getpid()]\n")
    _, _, run = measured(capsys, tmp_path)
    assert {len(each.sha) for each in run.programs["changes"].series.values()} == {2}
    assert show.verdicts(run)[-1].note == "of plain NumPy, bufpool"


def test_a_missing_package_names_what_to_install(programs, capsys, tmp_path):
    programs("lacking", "import no_such_module\n")
    status, text, run = measured(capsys, tmp_path, "--strict")
    assert run.programs["lacking"].missing == "needs no_such_module: pip install 'bufpool[programs]'"
    assert "not measured: needs no_such_module: pip install 'bufpool[programs]'" in text
    assert status == 1


def test_a_program_that_does_not_end_is_stopped(programs, monkeypatch):
    monkeypatch.setattr(runner, "LIMIT", 1)
    program = programs("endless", "import time\n\ndef work():\n    time.sleep(60)\n")
    outcome = runner.measure(program, [PLAIN], 1, lambda words: None)
    assert outcome.failures == {PLAIN.name: "took more than 1 s"}


def test_strict_fails_where_a_target_is_missed(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "PROGRAMS", {"it": Program("it", tmp_path, "a program")})
    for seconds, status in ((1.0, 0), (1.2, 1)):
        outcome = run_of("job", {"seconds": seconds}).programs["it"]
        monkeypatch.setattr(command, "measure", lambda *given, outcome=outcome: outcome)
        arguments = ["--file", str(tmp_path / "run.json"), "--contender", PLAIN.name]
        assert command.main([*arguments, "--strict"]) == status
        assert command.main(arguments) == 0
    assert "MISSED" in capsys.readouterr().out


def test_a_part_is_not_stored_in_place_of_the_whole(monkeypatch, tmp_path):
    monkeypatch.setattr(command, "RUN", tmp_path / "programs.json")
    monkeypatch.setattr(command, "measure", lambda *given: run_of("job").programs["it"])
    command.main(["--only", "dicom"])
    assert not command.RUN.exists()
    command.main([])
    assert list(load(command.RUN).programs) == list(PROGRAMS)


def test_results_of_other_types_or_shapes_are_others():
    zeros = np.zeros(4)
    assert digest([zeros]) == digest([zeros.copy()])
    assert len({digest([each]) for each in (zeros, zeros.reshape(2, 2), zeros.astype("i8"), zeros + 1)}) == 4
    with pytest.raises(TypeError, match="plain data"):
        digest([np.array([None])])


# The real programs ---------------------------------------------------------------------------------------------------


def test_every_program_knows_nothing_of_bufpool():
    files = {*HERE.glob("jobs/*.py"), *HERE.glob("patterns/*.py")}
    assert files == {program.file for program in PROGRAMS.values()}
    assert [len(list(HERE.glob(f"{folder}/*.py"))) for folder in ("jobs", "patterns")] == [12, 8]
    assert [file.name for file in files if "bufpool" in file.read_text(encoding="utf-8")] == []


def test_the_extra_has_what_the_programs_need():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {re.split("[>=;]", line)[0] for line in project["optional-dependencies"]["programs"]}
    assert named - {"cmeel-mimalloc"} == {package for each in PROGRAMS.values() for package in each.packages}


def test_the_page_states_every_target():
    page = command.PAGE.read_text(encoding="utf-8")
    for words in (
        "1.03 times plain NumPy's and 1.05 times that of tuned glibc; peak at most 1.15 times",
        "64 MiB more than plain NumPy",
        "at most 0.95 times plain NumPy's",
        "mean at most 1.3 times and peak at most 1.5 times plain NumPy's peak, plus 8 MiB; time at most 1.05 times",
        "time, mean and peak at most 1.2 times",
        f"after {runner.IDLE_SECONDS} seconds of rest",
    ):
        assert words in page


def test_the_page_is_of_the_stored_run():
    page = command.PAGE.read_text(encoding="utf-8")
    if command.RUN.exists():
        assert command.fill(page, show.blocks(load(command.RUN))) == page, "make programs ARGS=--render"
    else:
        assert len(re.findall(r"<!-- figures: [a-z-]+ -->\n<!-- /figures -->", page)) == len(show.blocks(run_of("job")))


def test_the_page_is_filled_from_a_stored_run(monkeypatch, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(command.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(command, "PAGE", page)
    save(run_of("job"), tmp_path / "run.json")
    command.main(["--render", "--file", str(tmp_path / "run.json")])
    assert "| it: a program | 1.00" in page.read_text(encoding="utf-8")
