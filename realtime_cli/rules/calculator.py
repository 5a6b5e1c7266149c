"""The capacity calculator: what a load takes of the machine, and what falls over first. Spec: platform 8.6."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.core.capacity import COSTS, DEFAULTS
from runtime.core.memory import worker_limit

if TYPE_CHECKING:
    from realtime_cli.rules.project import Project
    from runtime.core.settings import Settings

__all__ = ["ASSUMED_CONNECTIONS", "Capacity", "Load", "Machine", "Resource", "capacity_of"]

ASSUMED_CONNECTIONS = 20_000  # where neither a flag nor `max_connections` says how many
ENVELOPE = 60  # bytes around the data of an event: topic, name and number
TLS = 29  # bytes of a TLS record around a frame
OWN_DESCRIPTORS = 64  # of a worker beside its connections: listeners, the event loop, log, files
EPHEMERAL_PORTS = 28_000  # ports that a proxy on the same machine has for one address behind it
MIDDLE_FRAME = 65_536  # bytes from which on the header of a frame has 10 instead of 4


@dataclass(frozen=True, slots=True)
class Load:
    """What clients and the app do, all workers together.

    Attributes:
        connections: open at once; None is what `max_connections` lets in.
        topics_per_connection: topics that each is subscribed to.
        publish_rate: events that the app publishes a second.
        payload: bytes of the data of one.
        fanout: subscribers that get one.
    """

    connections: int | None = None
    topics_per_connection: int = 5
    publish_rate: int = 100
    payload: int = 200
    fanout: int = 10


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is: `memory` bytes and `descriptors` of one worker, all `workers`, bits and deliveries a second."""

    workers: int
    memory: int
    descriptors: int
    bandwidth: int
    deliveries: int


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing that may run out, in its unit: what is needed usually and at worst, and what there is (0: unknown).

    `at` is how much of what drives it fills it at worst, None when nothing of the load does, and `remedy` what to
    change.
    """

    name: str
    unit: str
    typical: float
    worst: float
    limit: float
    at: int | None
    drives: str
    remedy: str

    @property
    def label(self) -> str:
        """Its name in a sentence."""
        return self.name.partition(" /")[0].removesuffix(" out")

    @property
    def share(self) -> float:
        """How much of the limit the worst case is; 0 where there is no limit."""
        return self.worst / self.limit if self.limit else 0.0

    @property
    def as_dict(self) -> dict[str, Any]:
        """The resource for JSON, in whole numbers."""
        return {
            "resource": self.name,
            "unit": self.unit,
            "typical": math.ceil(self.typical),
            "worst": math.ceil(self.worst),
            "limit": math.floor(self.limit),
            "headroom": math.floor(self.limit) - math.ceil(self.worst) if self.limit else None,
        }


@dataclass(frozen=True)
class Capacity:
    """The answer: the resources in the order of the table, and the numbers that were put in."""

    load: Load
    machine: Machine
    connections: int
    resources: tuple[Resource, ...]

    @property
    def memory(self) -> Resource:
        """The memory of one worker."""
        return self.resources[0]

    @property
    def descriptors(self) -> Resource:
        """The descriptors of one worker."""
        return self.resources[1]

    @property
    def first(self) -> Resource:
        """What falls over first: the highest share of its limit; of equal ones the first of the table."""
        return max(self.resources, key=lambda one: one.share)

    @property
    def verdict(self) -> str:
        """The sentence that says so."""
        first = self.first
        if first.at is None:
            return f"First to fall over: {first.label}, whatever the load is: {first.remedy}"
        at = f"{first.at:,}".replace(",", " ")
        return f"First to fall over: {first.label} at about {at} {first.drives}: {first.remedy}"

    @property
    def ports(self) -> str | None:
        """What a proxy on the same machine would run out of, None when it would not."""
        if self.connections <= EPHEMERAL_PORTS:
            return None
        addresses = math.ceil(self.connections / EPHEMERAL_PORTS)
        return (
            f"A proxy on the same machine has about {EPHEMERAL_PORTS:,} ports for one address behind it: "
            f"it needs {addresses} addresses, or [server] uds"
        )

    @property
    def as_dict(self) -> dict[str, Any]:
        """The answer for JSON."""
        load = self.load
        return {
            "inputs": {
                "connections": self.connections,
                "topics_per_connection": load.topics_per_connection,
                "publish_rate": load.publish_rate,
                "payload": load.payload,
                "fanout": load.fanout,
                "workers": self.machine.workers,
            },
            "resources": [resource.as_dict for resource in self.resources],
            "first": {
                "resource": self.first.name,
                "at": self.first.at,
                "of": self.first.drives,
                "change": self.first.remedy,
            },
            "proxy": self.ports,
        }


def machine_of(project: Project) -> Machine:
    """Return what the settings say of the machine, and what this one has where they say nothing."""
    settings = project.settings.settings
    workers = settings.server.workers or project.cpus
    given = settings.check.memory_limit or settings.server.memory_limit
    return Machine(
        workers=workers,
        memory=worker_limit(given, workers),
        descriptors=settings.check.fd_limit or _descriptor_limit(),
        bandwidth=settings.check.bandwidth,
        deliveries=settings.check.deliveries_per_second * workers,
    )


def _descriptor_limit() -> int:
    """Return how many descriptors a process of this shell may open; 0 where nothing says so."""
    try:
        import resource
    except ImportError:
        return 0
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 0 if soft == resource.RLIM_INFINITY else soft


def capacity_of(project: Project, load: Load | None = None, replay_bytes: int = 0) -> Capacity:
    """Calculate what a load takes. `replay_bytes` is what the replays of the app keep when they are full."""
    load, machine = load or Load(), machine_of(project)
    settings = project.settings.settings
    connections = load.connections
    if connections is None:
        connections = settings.websocket.max_connections or ASSUMED_CONNECTIONS
    resources = (
        _memory(settings, load, machine, connections, replay_bytes),
        _descriptors(settings, machine, connections),
        _deliveries(load, machine),
        _bandwidth(load, machine),
    )
    return Capacity(load, machine, connections, resources)


def _memory(
    settings: Settings, load: Load, machine: Machine, connections: int, replay_bytes: int
) -> Resource:
    here = math.ceil(connections / machine.workers)
    base = COSTS["worker"] + replay_bytes
    one = _one_connection(settings, load)
    typical = base + here * one
    slow = settings.websocket.max_backpressure + settings.websocket.max_payload_length
    full = one + slow + _filled(settings, load, here) / max(here, 1)
    at = None if not machine.memory else max(0, math.floor((machine.memory - base) / full))
    large = "max_backpressure" if settings.websocket.max_backpressure * 2 >= slow else "max_payload_length"
    remedy = (
        f"lower [websocket] {large}" if slow > one else "lower the topics of a connection, or add workers"
    )
    if machine.memory and base >= machine.memory:
        at, remedy = None, "give the machine more memory, or run fewer workers"
    return Resource("memory / worker", "bytes", typical, base + here * full, machine.memory, at, SLOW, remedy)


SLOW = "slow connections per worker"


def _one_connection(settings: Settings, load: Load) -> float:
    """Return the bytes of one connection with its subscriptions and its share of the topics."""
    is_fast = settings.websocket.fast_path != "off"
    connection = COSTS["connection"] if is_fast else COSTS["connection_asgi"]
    if settings.websocket.compression:
        connection += COSTS["compression"]
    topics = load.topics_per_connection
    return connection + topics * (COSTS["subscription"] + COSTS["topic"] / max(load.fanout, 1))


def _filled(settings: Settings, load: Load, connections: int) -> float:
    """Return the bytes of the bounded structures at their limits, as far as these connections can fill them."""

    def held(name: str, item: str, wanted: float, extra: int = 0) -> float:
        bound = float(settings.capacity.get(name, DEFAULTS[name]))
        return min(bound, wanted) * (COSTS[item] + extra)

    topics = connections * load.topics_per_connection
    return (
        held("MAX_TOPIC_SEQS", "seq_counter", topics)
        + connections
        * held("MAX_COALESCED_KEYS_PER_CONNECTION", "coalesced_key", load.topics_per_connection, load.payload)
        + connections * held("MAX_PENDING_REQUESTS_PER_CONNECTION", "pending_request", 1)
        + held("MAX_PUSH_REGISTRY", "push_entry", connections)
        + held("MAX_PRESENCE_REF", "presence_entry", connections)
        + held("MAX_RATE_LIMIT_IDENTITIES", "rate_bucket", connections)
        + held("MAX_SESSIONS", "session", connections)
        + held("MAX_DEDUP_IDS", "dedup_id", connections)
    )


def _descriptors(settings: Settings, machine: Machine, connections: int) -> Resource:
    here = math.ceil(connections / machine.workers)
    pools = settings.redis.max_connections if settings.redis.url is not None else 0
    pools += settings.postgres.pool_max if settings.postgres.dsn is not None else 0
    need = here + OWN_DESCRIPTORS + pools
    limit, at = machine.descriptors, None
    remedy = f"ulimit -n {max(65_536, need)}, in a unit file LimitNOFILE={max(65_536, need)}"
    if limit:
        at = max(0, limit - OWN_DESCRIPTORS - pools)
    return Resource("file descriptors", "", need, need, limit, at, "connections per worker", remedy)


def _deliveries(load: Load, machine: Machine) -> Resource:
    need = load.publish_rate * load.fanout
    at = machine.deliveries // max(load.fanout, 1)
    remedy = "publish less often, coalesce, or add workers ([server] workers)"
    return Resource("deliveries / s", "", need, need, machine.deliveries, at, "publishes / s", remedy)


def _bandwidth(load: Load, machine: Machine) -> Resource:
    size = load.payload + ENVELOPE
    one = (size + (4 if size < MIDDLE_FRAME else 10) + TLS) * 8
    need = load.publish_rate * load.fanout * one
    at = machine.bandwidth // max(1, load.fanout * one)
    remedy = "send less data, or to fewer subscribers, or add machines"
    return Resource("bandwidth out", "bit/s", need, need, machine.bandwidth, at, "publishes / s", remedy)
