"""What a case is, and how its rounds are turned into figures."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Measurement = dict[str, float]
MAX_STEAL = 0.08
MAX_REPEATS = 2


class CannotMeasure(Exception):
    """A contestant cannot be measured on this machine; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison: every contestant is measured in every round, one after the other.

    `metric` is the figure that ratios are made of; `measure(contestant, quick)` may return more. The first
    contestant is ours.
    """

    name: str
    title: str
    metric: str
    contestants: tuple[str, ...]
    measure: Callable[[str, bool], Measurement]
    higher_is_better: bool = True
    rounds: int = 5
    quick_rounds: int = 2


@dataclass(slots=True)
class CaseResult:
    """All rounds of one case."""

    case: Case
    rounds: list[dict[str, Measurement]] = field(default_factory=list)
    steal: list[float] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def values(self, contestant: str, metric: str) -> list[float]:
        """Return one figure of a contestant over all rounds."""
        return [found[contestant][metric] for found in self.rounds if contestant in found]

    def advantage(self, contestant: str) -> list[float]:
        """Return per round how many times better ours is than the contestant; above 1 ours is better."""
        ours, metric = self.case.contestants[0], self.case.metric
        pairs = [
            (r[ours][metric], r[contestant][metric]) for r in self.rounds if ours in r and contestant in r
        ]
        return [a / b if self.case.higher_is_better else b / a for a, b in pairs if a and b]

    def as_json(self) -> dict[str, Any]:
        """Return medians, ranges and ratios."""
        contestants: dict[str, Any] = {}
        for contestant in self.case.contestants:
            metrics = next((found[contestant] for found in self.rounds if contestant in found), {})
            contestants[contestant] = {metric: spread(self.values(contestant, metric)) for metric in metrics}
        advantages = {name: self.advantage(name) for name in self.case.contestants[1:]}
        return {
            "title": self.case.title,
            "metric": self.case.metric,
            "higher_is_better": self.case.higher_is_better,
            "contestants": contestants,
            "advantage": {name: spread(values) for name, values in advantages.items() if values},
            "steal": [round(share, 3) for share in self.steal],
            "skipped": self.skipped,
        }


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return median, smallest, largest and all values."""
    rounded = [round(value, 4) for value in values]
    return {
        "median": round(statistics.median(values), 4),
        "min": min(rounded),
        "max": max(rounded),
        "rounds": rounded,
    }


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def stolen_ticks() -> tuple[int, int]:
    """Return the ticks the host took from this machine and all ticks so far; zeros where that is unknown."""
    try:
        fields = [int(part) for part in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    except (OSError, ValueError):
        return 0, 0
    return (fields[7] if len(fields) > 7 else 0), sum(fields)


def run_case(case: Case, *, quick: bool, only: frozenset[str], say: Callable[[str], None]) -> CaseResult:
    """Measure all contestants in interleaved rounds; a figure during which the host took much is repeated."""
    result = CaseResult(case)
    for number in range(case.quick_rounds if quick else case.rounds):
        figures: dict[str, Measurement] = {}
        for contestant in case.contestants:
            if contestant in result.skipped or (only and contestant not in only):
                continue
            share = 0.0
            for _ in range(1 + MAX_REPEATS):
                stolen, total = stolen_ticks()
                try:
                    figures[contestant] = case.measure(contestant, quick)
                except CannotMeasure as reason:
                    result.skipped[contestant] = str(reason)
                    say(f"  {contestant}: skipped: {reason}")
                    break
                later, later_total = stolen_ticks()
                share = (later - stolen) / max(later_total - total, 1)
                if share <= MAX_STEAL:
                    break
                say(f"  {contestant}: the host took {share:.0%}, once more")
            if contestant in figures:
                result.steal.append(share)
                shown = ", ".join(f"{name} {value:,.3g}" for name, value in figures[contestant].items())
                say(f"  round {number + 1} {contestant}: {shown}")
        result.rounds.append(figures)
    return result
