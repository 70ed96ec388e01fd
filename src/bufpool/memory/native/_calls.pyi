# Nothing for Python: a C function that the other compiled modules call.
