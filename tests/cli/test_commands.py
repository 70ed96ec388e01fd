"""The command line: its commands, their options, and what it says of mistakes."""

from __future__ import annotations

import argparse

import pytest

import bufpool
from bufpool import cli
from bufpool.cli.run import byte_count
from tests.support.programs import python


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("4096", 4096),
        ("1k", 1024),
        ("512M", 512 << 20),
        ("1.5 GiB", 3 << 29),
        ("2GB", 2_000_000_000),
        ("2g", 2 << 30),
        ("8388607T", 8388607 << 40),
    ],
)
def test_numbers_of_bytes(text, count):
    assert byte_count(text) == count


@pytest.mark.parametrize("text", ["", "M", "-1", "1.5", "1e9", "2 GBs", "8388608T", "0x10", "²"])
def test_what_is_no_number_of_bytes(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"^must be .* not {text!r}"):
        byte_count(text)


def test_version_and_help(capsys):
    for arguments, words in (
        (["--version"], f"bufpool {bufpool.__version__}\n"),
        (["--help"], "run an unchanged program"),
        (["run", "--help"], "[options] script.py [args]"),
    ):
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        assert stop.value.code == 0
        assert words in capsys.readouterr().out


def test_nothing_to_do(capsys):
    assert cli.main([]) == 2
    assert "usage: python -m bufpool" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["no-such-command"], ["--no-such-option"], ["run"], ["run", "-m"], ["run", "--no-such", "x.py"]]
)
def test_mistakes_are_told(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert "usage: python -m bufpool" in capsys.readouterr().err


def test_a_command_is_imported_only_when_asked_for(tmp_path):
    program = (
        "import sys; from bufpool.cli import main; main([]); "
        "print([name for name in sys.modules if name.startswith('bufpool.cli.')])"
    )
    assert python("-c", program, cwd=tmp_path).stdout == "[]\n"


def test_mistakes_show_the_usage_of_their_command(capsys):
    for arguments, words in (
        (["run", "--bogus", "script.py"], "unrecognized arguments: --bogus"),
        (["run"], "the following arguments are required: script.py\n"),
    ):
        with pytest.raises(SystemExit) as exit_:
            cli.main(arguments)
        assert exit_.value.code == 2
        said = capsys.readouterr().err
        assert words in said
        assert "[options] script.py [args]" in said
