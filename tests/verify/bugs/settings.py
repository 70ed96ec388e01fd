"""In what reads settings: sizes, the container, the environment, and glibc's thresholds."""

from __future__ import annotations

from tests.verify.bug import Bug, Ladder, Suite

SIZES = "memory/sizes.py"
CONTAINER = "memory/container.py"
CONF = "memory/conf.py"
MALLOC = "memory/core/libc_malloc.hpp"
HANDLER = "memory/native/_handler.pyx"

READ = (
    Bug(
        "a kilobyte has 1024 bytes",
        SIZES,
        "kb=10**3",
        "kb=1 << 10",
        Suite("memory/test_sizes.py -k how_many_bytes"),
    ),
    Bug(
        "a fraction of a size is dropped before its unit counts",
        SIZES,
        "int(whole + fraction) * factor // 10 ** len(fraction)",
        "int(whole) * factor",
        Suite("memory/test_sizes.py -k how_many_bytes"),
    ),
    Bug(
        "more than all memory is a share",
        SIZES,
        "    if part > of:\n",
        "    if part > 2 * of:\n",
        Suite("memory/test_sizes.py -k more_than_all"),
    ),
    Bug(
        "cgroups above the process's own do not count",
        CONTAINER,
        '        inside = inside.rpartition("/")[0]\n',
        '        inside = ""\n',
        Suite("memory/test_container.py -k the_limit_of_a_container"),
    ),
    Bug(
        "a cgroup whose name begins like the mounted one is below it",
        CONTAINER,
        'mount.group.rstrip("/") + "/", group.rstrip("/") + "/"',
        'mount.group.rstrip("/"), group.rstrip("/") + "/"',
        Suite("memory/test_container.py -k the_limit_of_a_container"),
    ),
    Bug(
        "the machine counts and not the container",
        CONTAINER,
        "_available = (min(known",
        "_available = (max(known",
        Suite("memory/test_container.py -k quarter_of_the_container"),
    ),
    Bug(
        "a missing cgroup file ends the program",
        CONTAINER,
        "    except (OSError, ValueError):  #",
        "    except ValueError:  #",
        Suite("memory/test_container.py -k cannot_be_read"),
    ),
    Bug(
        "the environment wins over an argument",
        CONF,
        "defaults[what] if given[what] is ... else given[what]",
        "defaults[what] if given[what] is ... or defaults[what] != SETTINGS[what].default else given[what]",
        Suite("memory/test_conf.py -k arguments_win"),
    ),
    Bug(
        "a mistake in the environment is told by every pool",
        CONF,
        "        defaults = _defaults = built_in | items\n",
        "        defaults = built_in | items\n",
        Suite("memory/test_conf.py -k a_mistake_in_the_variable_warns_once"),
    ),
    Bug(
        "one bad item spoils the others",
        CONF,
        '            mistakes.append(f"{what} {error}")\n',
        '            return {}, [f"{what} {error}"]\n',
        Suite("memory/test_conf.py -k a_meaningless_item_leaves_the_others_in_force"),
    ),
    Bug(
        "the block for glibc's thresholds is a page too large to count",
        MALLOC,
        "kMost - 2 * static_cast",
        "kMost - 1 * static_cast",
        Ladder("libc_malloc", 1000),
    ),
    Bug(
        "glibc's thresholds are raised at each installation",
        MALLOC,
        "    g_malloc_configured.store_relaxed(1);\n",
        "",
        Ladder("libc_malloc", 1000),
    ),
    Bug(
        "glibc's thresholds are raised whoever has set them",
        HANDLER,
        "            configure_malloc(not malloc_is_tuned_already())\n",
        "            configure_malloc(True)\n",
        Suite("memory/test_libc_malloc.py -k left_alone"),
    ),
)
