"""Benchmarks: `make bench`, or one group by itself: `python -m tests.bench.commands`."""
