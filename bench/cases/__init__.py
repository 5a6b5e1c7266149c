"""One module per group of cases; each offers `CASES`, a tuple of `bench.case.Case`."""
