"""L4: the compiled modules, the only layer that sees both the core's blocks and Python's objects."""
