"""How fast bufpool is: a table of benchmarks with targets, the performance page, and a check for regressions.

Run it from the checkout: ``make bench``, or ``python -m benchmarks``. It uses the public names of bufpool only. The
folders: `suite` lists the benchmarks and their targets, `workloads` what they run, `peers` the alternatives to
bufpool, and `harness` how they are timed. `page` makes the performance page, `regression` compares with an earlier
state, `scaling` measures the C++ core by itself.
"""
