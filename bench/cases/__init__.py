"""One module per case; each offers `CASE`, a `bench.case.Case`."""
