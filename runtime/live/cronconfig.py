"""`configure_cron`: which worker runs the jobs, and what carries what they publish. Spec: live-api 16.5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.core.bus import check_bus
from runtime.live.cronleader import check_leader
from runtime.live.wiring import record
from runtime.plugins.options import UNSET, Unset

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.bus import Bus
    from runtime.plugins.protocols import LeaderProtocol

    AnyLeader = Callable[[], object] | LeaderProtocol

__all__ = ["configure_cron"]


def configure_cron(
    leader_or_none: AnyLeader | Unset | None = UNSET,
    /,
    bus: Bus | Unset | None = UNSET,
    *,
    leader: AnyLeader | Unset | None = UNSET,
) -> None:
    """Let only the leader run jobs, and a bus carry what they publish; `configure_cron(None)` takes both back.

    What is not named stays as it is; `leader=None` or `bus=None` takes back that one. Set at run time it holds from the
    next tick on.

    Args:
        leader_or_none: as `leader`; `None` takes the bus back as well, unless one is given.
        leader: `() -> bool`, or an object with `is_leader()`. It is asked once in each tick in which a job is due, and
            must answer at once; where it raises, no job runs. Jobs with `per_worker=True` run anyway.
        bus: as for `set_bus`.

    Raises:
        ValueError: nothing is given. TypeError: a leader or a bus that is none.
    """
    if leader_or_none is not UNSET:
        if leader is not UNSET:
            raise TypeError("configure_cron: there are two leaders; give one")
        leader = leader_or_none
        bus = None if leader is None and bus is UNSET else bus
    values: dict[str, Any] = {}
    if leader is not UNSET:
        values["leader"] = check_leader(leader)
    if bus is not UNSET:
        check_bus(bus)
        values["bus"] = bus
    if not values:
        raise ValueError("configure_cron: leader or bus is needed; configure_cron(None) takes both back")
    record(**values)
