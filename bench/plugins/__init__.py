"""Measures each in-process plugin beside the plain object that would do the bare minimum: `python -m bench.plugins`."""
