"""Ready-made settings of `bufpool.Pool` for things that one often pools, a module a kind.

Each recipe is a function that returns a pool; what it sets can be set differently by keyword, as can all other settings
of the pool. A module is imported when it is first used: ``from bufpool.resources import dbapi``, or
``bufpool.resources.dbapi``.
"""

from bufpool.objects.settings import Settings

TYPE_CHECKING = False  # type checkers take every variable of this name for true
if TYPE_CHECKING:
    from bufpool.resources import dbapi as dbapi
    from bufpool.resources import files as files
    from bufpool.resources import http as http
    from bufpool.resources import sockets as sockets
    from bufpool.resources import sqlalchemy as sqlalchemy
    from bufpool.resources import workers as workers

__all__ = ["Settings"]

_MODULES = ("dbapi", "files", "http", "sockets", "sqlalchemy", "workers")

if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
        return __import__(f"{__name__}.{name}", fromlist=(name,))

    def __dir__():
        return sorted([*__all__, *_MODULES])
