"""A program, found and started as ``python`` itself finds and starts it."""

from __future__ import annotations

import builtins
import importlib.machinery
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType, TracebackType
from typing import Any, NamedTuple

__all__ = ["NoProgramError", "launch"]

# Whether the interpreter gives what it runs a `__cached__`: up to Python 3.14.
_states_cached = "__cached__" in vars(sys.modules["__main__"])


class NoProgramError(Exception):
    """There is no such program. `status` is what ``python`` would exit with."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Program(NamedTuple):
    """Code to run as ``__main__``, and what it sees around itself."""

    code: CodeType
    argv0: str  # its sys.argv[0]
    path0: str | None  # its sys.path[0]; None: nothing is added for it
    names: dict[str, Any]  # what __main__ says of itself


def launch(name: str, args: Sequence[str], *, as_module: bool) -> None:
    """Run a program with the arguments `args` as the module ``__main__``: the script `name`, or the module.

    What it raises is raised here; if nobody catches it, it is shown as if ``python`` had run the program.

    Raises
    ------
    NoProgramError
        There is none of that name.
    """
    try:
        sys.argv[:] = ["-m", *args]  # what a package sees while it is imported for its __main__
        program = _find_module(name) if as_module else _find_script(name)
        sys.argv[0] = program.argv0
        _put_first_on_path(program.path0)
        main = ModuleType("__main__")
        vars(main).update(program.names, __builtins__=builtins)
        if not _states_cached:
            del vars(main)["__cached__"]
        # It stays: threads, exit functions and multiprocessing look for it after its last line has run.
        sys.modules["__main__"] = main
        exec(program.code, vars(main))
    except (NoProgramError, SystemExit):
        raise
    except BaseException as error:
        _show_without_our_frames(error, as_module)
        raise


def _find_script(path: str) -> Program:
    """What ``python path`` would run: a script, or a folder or zip file with a ``__main__.py``."""
    filename = os.path.abspath(path)
    importer = pkgutil.get_importer(filename)
    if importer is not None:
        spec = importer.find_spec("__main__")
        if spec is None:
            raise NoProgramError(f"can't find '__main__' module in {filename!r}", 1)
        return _from_spec(spec, path, filename)
    loader: Any
    try:
        if path.endswith(".pyc"):
            loader = importlib.machinery.SourcelessFileLoader("__main__", filename)
            code = loader.get_code("__main__")
        else:
            loader = importlib.machinery.SourceFileLoader("__main__", filename)
            code = compile(loader.get_data(filename), filename, "exec", dont_inherit=True)
    except OSError as error:
        message = f"can't open file {filename!r}: [Errno {error.errno}] {error.strerror}"
        raise NoProgramError(message, 2) from error
    folder = None if sys.flags.safe_path else os.path.dirname(os.path.realpath(path))
    return Program(code, path, folder, {"__file__": filename, "__cached__": None, "__loader__": loader})


def _find_module(name: str) -> Program:
    """What ``python -m name`` would run: a module, or the ``__main__`` of a package."""
    folder = None if sys.flags.safe_path else os.getcwd()
    _put_first_on_path(folder)
    spec = _find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        package, name = name, f"{name}.__main__"
        spec = _find_spec(name)
        if spec is None:
            raise NoProgramError(
                f"No module named {name}; {package!r} is a package and cannot be directly executed", 1
            )
    if spec is None:
        raise NoProgramError(f"No module named {name}", 1)
    return _from_spec(spec, spec.origin or name, folder)


def _find_spec(name: str) -> importlib.machinery.ModuleSpec | None:
    package = name.rpartition(".")[0]
    if package:
        try:
            importlib.import_module(package)
        except ModuleNotFoundError as error:
            if not f"{package}.".startswith(f"{error.name}."):
                raise  # the package is there and misses another
    try:
        return importlib.util.find_spec(name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise NoProgramError(
            f"Error while finding module specification for {name!r} ({reason})", 1
        ) from error


def _from_spec(spec: importlib.machinery.ModuleSpec, argv0: str, folder: str | None) -> Program:
    loader: Any = spec.loader
    code = loader.get_code(spec.name) if hasattr(loader, "get_code") else None
    if code is None:
        raise NoProgramError(f"No code object available for {spec.name}", 1)
    names = {
        "__file__": spec.origin,
        "__cached__": spec.cached,
        "__loader__": loader,
        "__package__": spec.parent,
        "__spec__": spec,
    }
    return Program(code, argv0, folder, names)


def _put_first_on_path(folder: str | None) -> None:
    if folder is None:
        return
    if sys.flags.safe_path:
        sys.path.insert(0, folder)  # a folder or a zip file with a program is searched even then
    else:
        sys.path[0] = folder  # where `python -m bufpool` put its own


def _show_without_our_frames(error: BaseException, as_module: bool) -> None:
    """If `error` reaches the interpreter, show it as the program's own.

    The interpreter handles what nobody catches, with all that belongs to it: the exit status, ``sys.last_value``, the
    signal after a KeyboardInterrupt. Only the traceback is changed, on its way to ``sys.excepthook``.
    """
    of_program = error.__traceback__
    while of_program is not None and of_program.tb_frame.f_code.co_filename == __file__:
        of_program = of_program.tb_next
    theirs = sys.excepthook

    def excepthook(kind: type[BaseException], shown: BaseException, traceback: TracebackType | None) -> None:
        sys.excepthook = theirs
        if shown is error:
            # `python -m` begins its tracebacks with its own frames, and so it does here.
            traceback = _joined(traceback, of_program) if as_module else of_program
            sys.last_traceback = traceback
        theirs(kind, shown.with_traceback(traceback), traceback)

    sys.excepthook = excepthook


def _joined(outer: TracebackType | None, inner: TracebackType | None) -> TracebackType | None:
    """The frames of runpy that `outer` begins with, then `inner`."""
    if outer is None or outer.tb_frame.f_globals.get("__name__") != "runpy":
        return inner
    return TracebackType(_joined(outer.tb_next, inner), outer.tb_frame, outer.tb_lasti, outer.tb_lineno)
