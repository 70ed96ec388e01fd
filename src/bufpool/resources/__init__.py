"""Ready-made settings of `bufpool.Pool` for things that one often pools, a module a kind.

Each recipe is a function that returns a pool; what it sets can be set differently by keyword, as can all other settings
of the pool. Modules are imported by those who use them: ``from bufpool.resources import dbapi``.
"""

from bufpool.objects.settings import Settings

__all__ = ["Settings"]
