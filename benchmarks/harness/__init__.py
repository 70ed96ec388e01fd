"""How benchmarks are described, timed in worker processes, and reported."""
