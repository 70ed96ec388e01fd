"""``BUFPOOL_CONF`` sets the defaults of pools from outside; arguments win, and a mistake in it ends no program."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from bufpool import BufferPool
from bufpool.memory import conf
from bufpool.memory.conf import SETTINGS, parse
from tests.support.checkout import ROOT

ALL = (
    "limit=1GiB,max_retained=64 MiB,max_idle=1.5,timeout=2,upstream=plain,mlock=true,prefault=true,wipe=true,"
    "maintenance_thread=false,tune_malloc=false"
)


def program(code: str, conf: str | None, *flags: str) -> subprocess.CompletedProcess[str]:
    """A program run with the variable set."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    env.pop("BUFPOOL_CONF", None)
    if conf is not None:
        env["BUFPOOL_CONF"] = conf
    return subprocess.run(
        [sys.executable, *flags, "-c", textwrap.dedent(code)],
        capture_output=True, text=True, timeout=60, env=env, check=False,
    )  # fmt: skip


def answer(code: str, conf: str | None) -> str:
    done = program(code, conf, "-W", "error")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


# --- items ---


def test_every_item() -> None:
    items, mistakes = parse(ALL)
    assert mistakes == []
    assert items == {
        "limit": 1 << 30,
        "max_retained": 64 << 20,
        "max_idle": 1.5,
        "timeout": 2.0,
        "upstream": "plain",
        "mlock": True,
        "prefault": True,
        "wipe": True,
        "maintenance_thread": False,
        "tune_malloc": False,
    }
    assert list(items) == list(SETTINGS)


def test_every_default_is_a_setting_of_a_pool() -> None:
    left = [each.name for each in inspect.signature(BufferPool).parameters.values() if each.default is ...]
    assert left == list(SETTINGS)


def described(what: str) -> tuple[str, str]:
    """The head and the text of a parameter in the docstring of `BufferPool`."""
    doc = inspect.cleandoc(BufferPool.__doc__ or "")
    (found,) = re.findall(rf"^{what} : (.+)\n((?: {{4}}.+\n)+)", doc, re.MULTILINE)
    return found[0], " ".join(found[1].split())


@pytest.mark.parametrize("what", SETTINGS)
def test_the_docstring_agrees_with_the_table(what: str) -> None:
    setting = SETTINGS[what]
    head, text = described(what)
    assert text.startswith(setting.meaning)
    if what == "upstream":  # the first of the words
        assert head.startswith(f"{{{setting.default!r}, ")
    else:
        assert head.endswith("optional" if setting.default is None else f", default {setting.default!r}")


@pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="no documentation beside an installed wheel")
def test_the_page_agrees_with_the_table() -> None:
    page = (ROOT / "docs/reference/environment.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| .+? \| (.+?) \|$", page, re.MULTILINE)
    assert [(name, meaning) for name, meaning, _ in rows] == [
        (name, setting.meaning.replace("``", "`")) for name, setting in SETTINGS.items()
    ]
    for name, _, default in rows:
        if SETTINGS[name].default is not None:
            assert parse(f"{name}={default.strip('`')}") == ({name: SETTINGS[name].default}, [])


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", {}),
        (" , ,", {}),
        (" max_idle = 10 , limit = 1 MiB ", {"max_idle": 10.0, "limit": 1 << 20}),
        ("limit=1MiB,limit=2MiB", {"limit": 2 << 20}),
        ("limit=none,max_idle=none,timeout=none,max_retained=none", dict.fromkeys(
            ("limit", "max_idle", "timeout", "max_retained"))),
        ("max_idle=inf,timeout=1e3", {"max_idle": None, "timeout": 1000.0}),
    ],
)  # fmt: skip
def test_a_list_of_items(text: str, items: dict[str, Any]) -> None:
    assert parse(text) == (items, [])


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("limit", "NAME=VALUE with one of the names limit, max_retained, .*, tune_malloc, not 'limit'"),
        ("limits=3", "NAME=VALUE .* not 'limits=3'"),
        ("Limit=3", "NAME=VALUE .* not 'Limit=3'"),
        ("=3", "NAME=VALUE .* not '=3'"),
        ("name=x", "NAME=VALUE .* not 'name=x'"),
        ("limit=", "limit must be a number of bytes .* not ''"),
        ("limit=many", "limit must be a number of bytes .* not 'many'"),
        ("max_retained=101%", "max_retained must be from '0%' to '100%' .* not '101%'"),
        ("max_idle=soon", "max_idle must be 0 seconds or more, or 'none', not 'soon'"),
        ("max_idle=-1", "max_idle must be 0 seconds or more, or 'none', not '-1'"),
        ("timeout=٣", "timeout must be 0 seconds or more, or 'none', not '٣'"),
        ("timeout=nan", "timeout must be 0 seconds or more, or 'none', not 'nan'"),
        ("upstream=huge", "upstream must be one of plain, thp, hugetlb, malloc, not 'huge'"),
        ("wipe=yes", "wipe must be 'true' or 'false', not 'yes'"),
        ("mlock=1", "mlock must be 'true' or 'false', not '1'"),
    ],
)
def test_a_meaningless_item_leaves_the_others_in_force(item: str, words: str) -> None:
    items, mistakes = parse(f"max_idle=7,{item},prefault=true")
    assert items == {"max_idle": 7.0, "prefault": True}
    (mistake,) = mistakes
    with pytest.raises(ValueError, match=f"^{'expected ' if words.startswith('NAME') else ''}{words}$"):
        raise ValueError(mistake)


# --- pools ---

SEEN = """
    import bufpool
    from bufpool.memory.native._arena import PoolBase
    seen = {}
    set_up = PoolBase._set_up
    class Pool(bufpool.BufferPool):
        __slots__ = ()
        def _set_up(self, **settings):
            seen.update(settings)
            super()._set_up(**settings)
"""


def test_a_pool_has_the_settings() -> None:
    """All settings but `mlock`, which a machine may refuse."""
    told = answer(
        SEEN
        + """
    pool = Pool()
    print(pool.limit, pool.max_retained, pool.timeout, pool._tune_malloc)
    print([seen[what] for what in ("max_idle_ns", "pages", "lock", "prefault", "wipe")])
    """,
        ALL,
    )
    assert told == "1073741824 67108864 2.0 False\n[1500000000, 'plain', True, True, True]\n"


def test_without_it_a_pool_is_as_documented() -> None:
    told = answer(
        SEEN
        + """
    pool = Pool()
    print(pool.limit, pool.timeout, pool._tune_malloc)
    print([seen[what] for what in ("max_idle_ns", "pages", "lock", "prefault", "wipe")])
    """,
        None,
    )
    assert told == "None 0.0 True\n[10000000000, 'thp', False, False, False]\n"


def test_arguments_win() -> None:
    """Also arguments equal to the default that would hold without the variable."""
    told = answer(
        SEEN
        + """
    pool = Pool(None, max_retained="1MiB", max_idle=10.0, timeout=0.0, upstream="thp", mlock=False, prefault=False,
                wipe=False, tune_malloc=True)
    print(pool.limit, pool.max_retained, pool.timeout, pool._tune_malloc)
    print([seen[what] for what in ("max_idle_ns", "pages", "lock", "prefault", "wipe")])
    print(Pool(max_idle=None).limit, seen["max_idle_ns"])
    """,
        ALL,
    )
    assert told == "None 1048576 0.0 True\n[10000000000, 'thp', False, False, False]\n1073741824 0\n"


def test_the_default_pool_and_children_have_the_settings() -> None:
    told = answer(
        """
        import os, subprocess, sys
        import bufpool
        print(bufpool.default_pool().limit, flush=True)
        ask = "import bufpool; print(bufpool.BufferPool().limit)"
        subprocess.run([sys.executable, "-c", ask], check=True)
        if hasattr(os, "fork"):
            if (child := os.fork()) == 0:
                print(bufpool.BufferPool().limit, flush=True)
                os._exit(0)
            os.waitpid(child, 0)
        else:
            print(bufpool.BufferPool().limit)
        """,
        "limit=3MiB",
    )
    assert told == "3145728\n" * 3


def test_a_run_has_the_settings_and_its_options_win() -> None:
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "BUFPOOL_CONF": "limit=3MiB,timeout=7",
    }
    ask = "import bufpool; pool = bufpool.default_pool(); print(pool.limit, pool.timeout, pool.name)"
    told = []
    for options in ([], ["--limit", "5MiB"]):
        command = [sys.executable, "-m", "bufpool", "run", *options, "-m", "timeit", "-n1", "-r1", ask]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=True)
        told.append(done.stdout.splitlines()[0])
    assert told == ["3145728 7.0 run", "5242880 7.0 run"]


def test_a_mistake_in_the_variable_warns_once() -> None:
    done = program(
        """
        import sys
        import bufpool
        print("imported", file=sys.stderr, flush=True)
        for _ in range(3):
            pool = bufpool.BufferPool()             # here
        print(pool.limit, pool.max_retained)
        """,
        "limit=1 MiBB,max_retained=2MiB",
        "-W", "always",
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "None 2097152\n")
    first, warning, *rest = done.stderr.splitlines()
    assert first == "imported"
    assert warning.startswith("<string>:6: RuntimeWarning: BUFPOOL_CONF: limit must be a number of bytes ")
    assert warning.endswith("not '1 MiBB'; the item is ignored")
    assert "RuntimeWarning" not in "".join(rest)


def test_it_is_read_when_the_first_pool_is_made() -> None:
    told = answer(
        """
        import os
        import bufpool
        os.environ["BUFPOOL_CONF"] = "limit=2MiB"
        print(bufpool.BufferPool().limit)
        os.environ["BUFPOOL_CONF"] = "limit=4MiB"
        print(bufpool.BufferPool().limit)
        """,
        "limit=1MiB",
    )
    assert told == "2097152\n2097152\n"


def test_the_variable_is_the_one_that_the_pages_name() -> None:
    assert conf.VARIABLE == "BUFPOOL_CONF"
