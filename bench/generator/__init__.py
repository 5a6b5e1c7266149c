"""The load generator: `loadgen.c`, compiled on first use, or `fallback.py` where there is no C compiler."""
