"""The bugs that `prove.mutants` seeds: real, plausible mistakes, each of which breaks a promise."""

from __future__ import annotations

from prove.bugs.arrays import ARRAYS_AND_LEASES
from prove.bugs.first_use import FIRST_USE
from prove.bugs.life import LIFE_OF_ALL
from prove.bugs.limit import LIMIT_QUEUE
from prove.bugs.maintenance import MAINTAINED
from prove.bugs.objects import OBJECTS
from prove.bugs.orders import ORDERS
from prove.bugs.page_heap import PAGE_HEAP
from prove.bugs.paths import PATHS
from prove.bugs.pools import POOLS
from prove.bugs.python import PYTHON
from prove.bugs.readings import READINGS
from prove.bugs.recipes import RECIPES
from prove.bugs.settings import READ
from prove.bugs.sharing import SHARING
from prove.bugs.shelves import SHELVES
from prove.bugs.tasks import TASKS
from prove.bugs.waiting import WAITING

CORE = (*PATHS, *PAGE_HEAP, *SHARING, *LIFE_OF_ALL, *ORDERS, *WAITING, *LIMIT_QUEUE)
NATIVE = (*POOLS, *ARRAYS_AND_LEASES, *SHELVES)
BUGS = (*CORE, *NATIVE, *READINGS, *PYTHON, *READ, *RECIPES, *OBJECTS, *MAINTAINED, *TASKS, *FIRST_USE)
