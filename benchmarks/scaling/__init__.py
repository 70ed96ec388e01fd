"""How the C++ core scales with threads."""
