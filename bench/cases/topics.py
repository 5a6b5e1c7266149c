"""Many topics: 10,000 topics with one subscriber each, one publish per topic and pass.

1,000 connections hold ten topics each. A turn of the loop publishes to 1,000 topics of 1,000 different connections, so
that no two events of a turn go to the same one and nothing can be joined: what is measured is a publish, its look-up
and one write.
"""

from __future__ import annotations

from bench.case import Case, Figure, Measurement, Run
from bench.generator.build import generate
from bench.load import call, options
from bench.servers import SERVERS

CONNECTIONS = 1000
TOPICS_EACH = 10


def measure(contestant: str, run: Run) -> Measurement:
    """Return deliveries per second over several passes of all topics."""
    connections = run.scale.connections(CONNECTIONS)
    trigger = call(SERVERS[contestant].dialect, "spread", "%lu", connections, connections * TOPICS_EACH)
    with run.pool.running(contestant) as server:
        found = generate(
            [
                "topics",
                *options(connections=connections, topics=TOPICS_EACH, seconds=run.scale.seconds, limit=90),
                *options(trigger=trigger, port=server.port),
            ]
        )
    return {name: found[name] for name in ("per_second", "generator_idle") if name in found}


CASES = (
    Case(
        name="topics",
        title=f"{CONNECTIONS * TOPICS_EACH:,} topics with one subscriber each, one publish per topic",
        figures=(Figure("per_second", "deliveries/s"),),
        contestants=("ours", "websockets", "socketify"),
        more=("starlette", "picows", "aiohttp", "ws", "bun"),
        measure=measure,
        descriptors=CONNECTIONS + 100,
        setting="1,000 connections with ten topics each; a turn publishes once to each connection; no capabilities",
    ),
)
