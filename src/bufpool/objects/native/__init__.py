"""The compiled modules: the state of an object pool, and the quick way out and back."""
