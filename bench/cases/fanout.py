"""Fan-out: one publisher, 1,000 subscribers of one topic, envelopes of 200 bytes."""

from __future__ import annotations

import functools
import json

from bench.case import Case, Measurement
from bench.generator.build import generate
from bench.processes import cores, free_port, serving
from bench.servers import SERVERS

SUBSCRIBERS = 1000
SUBSCRIBE = '{"type":"subscribe","topic":"bench","ref":1}'


def burst(count: int, per_turn: int) -> str:
    """Return the call that makes the server publish."""
    return json.dumps({"rpc": "bench/burst", "id": "1", "args": [count, per_turn]}, separators=(",", ":"))


def measure(per_turn: int, contestant: str, quick: bool) -> Measurement:
    """Return deliveries per second of a burst after one to warm up."""
    count = 100 if quick else 300
    port = free_port()
    trigger = burst(count, per_turn)
    with serving(SERVERS[contestant](port), port, core=cores()[0]):
        figures = generate(
            [
                *("fanout", "--port", str(port), "--connections", str(SUBSCRIBERS), "--count", str(count)),
                *("--send", SUBSCRIBE, "--trigger", trigger, "--trigger", trigger),
            ]
        )
    return {"per_second": figures["per_second"], "connects_per_second": figures["connects_per_second"]}


CASES = tuple(
    Case(
        name=name,
        title=f"fan-out to {SUBSCRIBERS} subscribers, publishes per loop turn: {per_turn}",
        metric="per_second",
        contestants=("ours", "websockets", "starlette"),
        measure=functools.partial(measure, per_turn),
    )
    for name, per_turn in (("fanout", 1), ("fanout-turn", 100))
)
