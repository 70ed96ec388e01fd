"""The compiled modules, which see both the core's blocks and Python's objects."""
