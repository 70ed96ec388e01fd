"""The performance page and the README's table, rendered from a stored run."""
