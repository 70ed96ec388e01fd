# Nothing for Python: C functions that the other compiled modules call.
