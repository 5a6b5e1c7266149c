"""Measurements: `python -m bench.run`. How to read the numbers is in `bench/README.md`."""
