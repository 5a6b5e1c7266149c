"""What the server that runs this installation can do: how frames are written, and which bounds requests have.

The differences of plain ASGI are stated here once; `realtime doctor` shows them, and `tests/server/test_foreign*.py`
hold other servers to them. Spec: platform 2.9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from runtime.server.httpvariants import known_parser
from runtime.server.uvicornlink import contract_problem

if TYPE_CHECKING:
    from runtime.core.settings import Settings

__all__ = ["ASGI_DIFFERENCES", "Abilities", "Difference", "abilities"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One row of the table: a feature and what it is without our part in the server.

    `needs` is that part: `link` our class of uvicorn's WebSocket protocol, `frames` the fast path on top of it,
    `http` the bounds of requests.
    """

    feature: str
    on_asgi: str
    needs: Literal["link", "frames", "http"]


ASGI_DIFFERENCES: Final = (
    Difference(
        "refusal statuses and bodies before the 101",
        "where the server offers the extension websocket.http.response; elsewhere each refusal is its 403",
        "link",
    ),
    Difference(
        "buffered_amount, SendResult, backpressure",
        "count the frames that the server has not taken yet; what its transport holds is not seen",
        "frames",
    ),
    Difference("cork()", "has no effect: each frame is a message of its own", "frames"),
    Difference(
        "ping(), idle_timeout, pongs as a sign of life",
        "the server's own pings and idle limits, if it has any (hypercorn and granian: none by default); "
        "text_keepalive works",
        "frames",
    ),
    Difference("terminate()", "closes with 1011", "link"),
    Difference(
        "max_payload_length",
        "looked at for whole messages, after the server's own limit; floods of fragments and pings are the server's",
        "frames",
    ),
    Difference(
        "header_timeout, keepalive_timeout, min_body_rate, stream_write_timeout, 431, TLS and socket keys",
        "the server's own settings",
        "http",
    ),
)


@dataclass(frozen=True, slots=True)
class Abilities:
    """What is active under `realtime serve` and `realtime dev`, and why something is not."""

    #: Whether frames are written past ASGI.
    is_fast: bool
    #: Why they are, or are not.
    write_path: str
    #: The HTTP parser that has the bounds of requests, `None` when uvicorn serves without them.
    parser: str | None
    #: What of this uvicorn is not as assumed, by what it costs.
    problems: tuple[str, ...]
    #: The rows of `ASGI_DIFFERENCES` that hold here.
    differences: tuple[Difference, ...]


def abilities(settings: Settings) -> Abilities:
    """Look at the installed uvicorn and at the settings, and say what is active under our own server."""
    broken = contract_problem()
    parser, unknown = known_parser()
    wanted = settings.websocket.fast_path
    is_fast = broken is None and wanted != "off"
    if broken is not None:
        why = f"frames go over ASGI: {broken}"
    elif is_fast:
        why = "frames go straight to the transport: uvicorn works as assumed"
    else:
        why = 'frames go over ASGI: [websocket] fast_path = "off"'
    missing = {
        "link": broken is not None,
        "frames": not is_fast,
        "http": parser is None,
    }
    problems = []
    if broken is not None and wanted != "off":
        problems.append(f"no fast path: {broken}")
    if parser is None:
        problems.append(f"no limits of time and size for requests: {unknown}")
    return Abilities(
        is_fast=is_fast,
        write_path=why,
        parser=parser,
        problems=tuple(problems),
        differences=tuple(row for row in ASGI_DIFFERENCES if missing[row.needs]),
    )
