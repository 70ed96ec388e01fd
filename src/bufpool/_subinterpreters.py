"""Refuses another interpreter than the process's first: what compiled modules keep exists once in a process."""


def _is_main_interpreter() -> bool:
    """Whether this is the interpreter that the process began with; it is, if Python cannot say."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # since 3.13; before
        try:
            interpreters = __import__(name)
        except ImportError:
            continue
        return bool(interpreters.get_current() == interpreters.get_main())
    return True


if not _is_main_interpreter():
    raise ImportError(
        "bufpool works in the main interpreter only, and this is a subinterpreter: its pools belong to the process, "
        "and NumPy, which it serves, does not support subinterpreters"
    )
