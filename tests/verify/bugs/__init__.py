"""The bugs that `tests.verify.mutants` seeds: real, plausible mistakes, each of which breaks a promise."""

from __future__ import annotations

from tests.verify.bugs.arrays import ARRAYS_AND_LEASES
from tests.verify.bugs.background import BACKGROUND
from tests.verify.bugs.first_use import FIRST_USE
from tests.verify.bugs.huge_pages import HUGE_PAGES
from tests.verify.bugs.life import LIFE_OF_ALL
from tests.verify.bugs.limit import LIMIT_QUEUE
from tests.verify.bugs.maintenance import MAINTAINED
from tests.verify.bugs.objects import OBJECTS
from tests.verify.bugs.orders import ORDERS
from tests.verify.bugs.page_heap import PAGE_HEAP
from tests.verify.bugs.paths import PATHS
from tests.verify.bugs.pools import POOLS
from tests.verify.bugs.python import PYTHON
from tests.verify.bugs.readings import READINGS
from tests.verify.bugs.recipes import RECIPES
from tests.verify.bugs.scratches import SCRATCHES
from tests.verify.bugs.settings import READ
from tests.verify.bugs.sharing import SHARING
from tests.verify.bugs.tasks import TASKS
from tests.verify.bugs.waiting import WAITING

CORE = (*PATHS, *PAGE_HEAP, *HUGE_PAGES, *SHARING, *LIFE_OF_ALL, *ORDERS, *WAITING, *LIMIT_QUEUE)
NATIVE = (*POOLS, *ARRAYS_AND_LEASES, *SCRATCHES)
BUGS = (*CORE, *NATIVE, *READINGS, *PYTHON, *READ, *RECIPES, *OBJECTS, *MAINTAINED, *TASKS, *BACKGROUND, *FIRST_USE)
