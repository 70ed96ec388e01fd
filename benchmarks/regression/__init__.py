"""Ratios of the hot paths, compared with a stored baseline."""
