"""The words a case says to the generator: connections, frames and calls in the dialect of a server."""

from __future__ import annotations

from bench.servers import Dialect


def call(dialect: Dialect, name: str, *arguments: object, number: object = 1) -> str:
    """Return the frame that calls a function of the server; `%lu` is a number that the generator puts in."""
    return dialect.call.format(name=name, number=number, arguments=",".join(map(str, arguments)))


def options(**values: object) -> list[str]:
    """Return command line options: `in_flight=2` becomes `--in-flight 2`."""
    return [part for name, value in values.items() for part in (f"--{name.replace('_', '-')}", str(value))]


def sends(*texts: str) -> list[str]:
    """Return the frames that each connection sends when it is open."""
    return [part for text in texts for part in ("--send", text)]
