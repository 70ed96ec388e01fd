"""In the rule that a large arena grows by whole huge pages."""

from __future__ import annotations

from tests.verify.bug import Bug
from tests.verify.bugs.page_heap import GROWTH, HEAP, RANDOM, RULES

SLABS = "memory/core/arena_slabs.cpp"

HUGE_PAGES = (
    Bug(
        "a huge page that comes as a whole does not count as resident",
        HEAP,
        "    resident_ += kHugePage;\n",
        "",
        RANDOM,
    ),
    Bug(
        "the free part of a huge page does not count as idle",
        HEAP,
        "link(end, length, pages + rest * kGranulePages);\n}\n\nMapResult",
        "link(end, length, pages);\n}\n\nMapResult",
        RANDOM,
    ),
    Bug(
        "a huge page comes as a whole though another extent lies in it",
        HEAP,
        "piece < id || length < rest || resident",
        "piece < id || resident",
        RANDOM,
    ),
    Bug(
        "the free part of a huge page is idle since ever",
        HEAP,
        "        rows[i].stamp = now;\n    }\n    resident_",
        "    }\n    resident_",
        RANDOM,
    ),
    Bug(
        "a huge page comes as a whole under a limit",
        GROWTH,
        "return config.limit == kUnlimited && !aligned_",
        "return !aligned_",
        RULES,
    ),
    Bug(
        "a huge page comes as a whole though little may be idle",
        GROWTH,
        " &&\n           idle + kHugePage <= config.max_retained;",
        ";",
        RULES,
    ),
    Bug(
        "the first block takes a huge page as a whole",
        GROWTH,
        " && heap_.resident() >= kGrown",
        "",
        RULES,
    ),
    Bug(
        "slabs take no huge page as a whole",
        SLABS,
        "class_size(c) >= 8 * kHugePage && wants",
        "class_size(c) >= 8000 * kHugePage && wants",
        RULES,
    ),
    Bug(
        "large zeros take their last huge page as a whole",
        GROWTH,
        "if (!lazy && wants_whole",
        "if (wants_whole",
        RULES,
    ),
    Bug(
        "a huge page comes as a whole for each block of wide alignment",
        GROWTH,
        " && !aligned_ && heap_.resident()",
        " && heap_.resident()",
        RULES,
    ),
    Bug(
        "a huge page comes as a whole in each hole",
        GROWTH,
        " && heap_.idle() <= heap_.resident() / 20 &&",
        " &&",
        RULES,
    ),
)
