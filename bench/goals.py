"""What each figure should reach: beside a peer, beside ours under another load, or on its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.case import Figure, advantages, spread


@dataclass(frozen=True, slots=True)
class Goal:
    """A floor and a goal for one figure of a case.

    Attributes:
        case, figure: what is looked at.
        floor, goal: how many times better ours should be than `beside`; without `beside` the largest value allowed.
        beside: a contestant of the same case, None for the figure itself.
    """

    case: str
    figure: str
    floor: float
    goal: float
    beside: str | None = None

    def text(self) -> str:
        """Return floor and goal in a few characters."""
        if self.beside is None:
            return f"< {self.floor:g} / {self.goal:g}" if self.floor != self.goal else f"< {self.goal:g}"
        return f"{self.floor:g} / {self.goal:g}"

    def value(self, case: Mapping[str, Any]) -> float | None:
        """Return what a case of a result file reached, None when it was not measured."""
        contestants: Mapping[str, Any] = case["contestants"]
        ours = contestants.get("ours", {}).get(self.figure)
        if ours is None:
            return None
        if self.beside is None:
            return float(ours["median"])
        theirs = contestants.get(self.beside, {}).get(self.figure)
        if theirs is None:
            return None
        described = case["figures"][self.figure]
        figure = Figure(self.figure, described["unit"], described["higher_is_better"])
        found = advantages(figure, ours["rounds"], theirs["rounds"])
        return float(spread(found)["median"]) if found else None

    def verdict(self, value: float) -> str:
        """Return "goal", "floor" or "below"."""
        if self.beside is None:
            return "goal" if value < self.goal else "floor" if value < self.floor else "below"
        return "goal" if value >= self.goal else "floor" if value >= self.floor else "below"


def _beside(case: str, figure: str, floor: float, goal: float, *peers: str) -> tuple[Goal, ...]:
    return tuple(Goal(case, figure, floor, goal, peer) for peer in peers)


GOALS: tuple[Goal, ...] = (
    *_beside("fanout", "per_second", 1.2, 1.6, "websockets"),
    *_beside("fanout", "per_second", 1.5, 2.2, "starlette"),
    *_beside("fanout", "per_second", 6, 8, "socketio"),
    *_beside("fanout", "per_second", 0.8, 1.0, "socketify", "bun"),
    *_beside("fanout-10", "per_second", 6, 9, "ours-single"),
    *_beside("fanout-100", "per_second", 20, 50, "ours-single"),
    *_beside("fanout-100", "per_second", 1.5, 3, "socketify"),
    *_beside("topics", "per_second", 1.0, 1.3, "websockets"),
    *_beside("rpc-1", "per_second", 1.1, 1.5, "websockets"),
    *_beside("rpc-1", "p99_ms", 1.0, 1.0, "websockets"),
    *_beside("rpc-16", "per_second", 1.1, 1.5, "websockets"),
    *_beside("rpc-16", "p99_ms", 1.0, 1.0, "websockets"),
    *_beside("wrappers", "per_second", 1 / 3, 0.5, "ours-bare"),
    *_beside("transform", "per_second", 0.8, 0.95, "ours-plain"),
    Goal("transform", "runs_per_publish", 1.001, 1.001),
    *_beside("subscribe", "all_ms", 1.0, 3.0, "ours-own"),
    Goal("aggregates", "us_per_event", 15, 10),
    *_beside("latency", "p99_ms", 1.0, 1 / 0.7, "websockets"),
    *_beside("latency", "cpu_percent", 1.0, 1.0, "websockets", "picows"),
    *_beside("upload", "mb_per_second", 0.7, 1.0, "websockets"),
    *_beside("upload-stream", "mb_per_second", 0.5, 0.8, "ours-http"),
    Goal("upload-stream", "growth_mib", 32, 32),
    *_beside("upload-many", "mb_per_second", 0.5, 0.8, "ours-http"),
    *_beside("storm", "per_second", 1.5, 2.5, "starlette"),
    Goal("check", "ms", 5000, 3000),
    Goal("upgrade", "unmentioned_s", 15, 15),
    Goal("upgrade", "mentioned_s", 120, 60),
    Goal("idle", "kib_per_connection", 10, 5),
    Goal("idle", "cpu_percent", 3, 3),
)


def goal_of(case: str, figure: str, beside: str) -> Goal | None:
    """Return the goal of a figure beside a contestant; for ours the one that stands on its own."""
    wanted = None if beside == "ours" else beside
    return next(
        (goal for goal in GOALS if (goal.case, goal.figure, goal.beside) == (case, figure, wanted)), None
    )
