"""In how the package's names are found at their first use. Nothing is built for them."""

from __future__ import annotations

from tests.verify.bug import Bug, Suite

NAMES = "__init__.py"

FIRST_USE = (
    Bug(
        "a pool of objects loads the wing of memory",
        "objects/stats.py",
        "from bufpool._counts import Counts\n",
        "from bufpool.memory.stats import Counts\n",
        Suite("project/test_first_use.py -k an_object_pool_does_not_load_numpy"),
    ),
    Bug(
        "a pool of objects loads inspect",
        "objects/settings.py",
        "    if isinstance(function, PLAIN):\n",
        "    if function is None:\n",
        Suite("project/test_first_use.py -k an_object_pool_does_not_load_numpy"),
    ),
    Bug(
        "a function that is marked as one of coroutines is none",
        "objects/settings.py",
        "isinstance(function, FunctionType) and not function.__dict__",
        "isinstance(function, FunctionType)",
        Suite("project/test_first_use.py -k coroutine_functions"),
        since=(3, 12),
    ),
    Bug(
        "a pool's first use leaves a part of its wing",
        NAMES,
        "            if home in _BEFORE:\n",
        "            if home == name:\n",
        Suite("project/test_first_use.py -k loads_its_wing"),
    ),
    Bug(
        "the names shown are those imported so far",
        NAMES,
        '        return sorted([*__all__, "resources"])\n',
        "        return sorted(globals())\n",
        Suite("project/test_first_use.py -k dir_shows"),
    ),
    Bug(
        "who lacks NumPy is not told what needs it",
        NAMES,
        '            if error.name != "numpy":\n',
        "            if error.name:\n",
        Suite("project/test_first_use.py -k without_numpy"),
    ),
    Bug(
        "whatever is missing is called NumPy",
        NAMES,
        '            if error.name != "numpy":\n                raise\n',
        "",
        Suite("project/test_first_use.py -k another_module"),
    ),
    Bug(
        "a missing name is a KeyError",
        NAMES,
        "        except KeyError:\n",
        "        except NameError:\n",
        Suite("project/test_first_use.py -k is_missed"),
    ),
    Bug(
        "recipes must be imported",
        NAMES,
        '        if name == "resources":\n',
        '        if name == "recipes":\n',
        Suite("project/test_first_use.py -k recipes_are_there"),
    ),
)
