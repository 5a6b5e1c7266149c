"""What a case is, and how its rounds are turned into figures."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.pool import Pool

Measurement = dict[str, float]
MAX_STEAL = 0.08
MAX_REPEATS = 2


class CannotMeasure(Exception):
    """A contestant cannot be measured on this machine; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured.

    Attributes:
        name: what the result file says.
        rounds: how often each contestant is measured; a case may have fewer.
        seconds: how long a timed stretch takes; a case may multiply it.
        share: which part of the connections a case opens.
        all_peers: whether the peers that a case names second are measured too.
    """

    name: str
    rounds: int
    seconds: float
    share: float = 1.0
    all_peers: bool = False

    def connections(self, full: int) -> int:
        """Return how many of `full` connections are opened."""
        return max(2, round(full * self.share))


SMOKE = Scale("smoke", rounds=1, seconds=0.1, share=0.02)
QUICK = Scale("quick", rounds=5, seconds=0.5)
FULL = Scale("full", rounds=5, seconds=1.5, all_peers=True)


@dataclass(frozen=True, slots=True)
class Run:
    """What a measurement is given: its scale, and servers that stay for the rounds of a case."""

    scale: Scale
    pool: Pool


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the numbers of a measurement that ratios are made of."""

    name: str
    unit: str
    higher_is_better: bool = True

    def advantage(self, ours: float | None, theirs: float | None) -> float | None:
        """Return how many times better the first is; above 1 it is better."""
        if not ours or not theirs:
            return None
        return ours / theirs if self.higher_is_better else theirs / ours


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison: every contestant is measured in every round, one after the other.

    Attributes:
        name: what the command line calls it.
        title: what is measured, in a line.
        figures: what is compared; the first one is what the baseline holds. `measure` may return more.
        contestants: ours first, then those that are always measured.
        measure: starts the load and returns the figures of one contestant.
        more: the peers that only a full run measures.
        rounds: at most so many, where one of them takes long.
        descriptors: open files that the server and the generator need each.
        setting: what a reader has to know of the frames and the announced capabilities.
    """

    name: str
    title: str
    figures: tuple[Figure, ...]
    contestants: tuple[str, ...]
    measure: Callable[[str, Run], Measurement]
    more: tuple[str, ...] = ()
    rounds: int = 5
    descriptors: int = 256
    setting: str = ""

    @property
    def metric(self) -> str:
        """The name of the main figure."""
        return self.figures[0].name


@dataclass(slots=True)
class CaseResult:
    """All rounds of one case."""

    case: Case
    rounds: list[dict[str, Measurement]] = field(default_factory=list)
    steal: list[float] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def contestants(self) -> tuple[str, ...]:
        """Those that were measured at least once, in the order of the case."""
        named = (*self.case.contestants, *self.case.more)
        return tuple(name for name in named if any(name in found for found in self.rounds))

    def values(self, contestant: str, metric: str) -> list[float | None]:
        """Return one figure of a contestant per round; None where it was not measured."""
        return [found.get(contestant, {}).get(metric) for found in self.rounds]

    def advantage(self, contestant: str, figure: Figure | None = None) -> list[float]:
        """Return per round how many times better ours is than the contestant; above 1 ours is better."""
        chosen = figure or self.case.figures[0]
        return advantages(
            chosen,
            self.values(self.case.contestants[0], chosen.name),
            self.values(contestant, chosen.name),
        )

    def as_json(self) -> dict[str, Any]:
        """Return medians, ranges and ratios."""
        contestants: dict[str, Any] = {}
        for contestant in self.contestants:
            metrics = next(found[contestant] for found in self.rounds if contestant in found)
            contestants[contestant] = {metric: spread(self.values(contestant, metric)) for metric in metrics}
        ours = self.case.contestants[0]
        found = {
            figure.name: {
                name: spread(values)
                for name in self.contestants
                if name != ours and (values := self.advantage(name, figure))
            }
            for figure in self.case.figures
        }
        return {
            "title": self.case.title,
            "setting": self.case.setting,
            "metric": self.case.metric,
            "figures": {
                figure.name: {"unit": figure.unit, "higher_is_better": figure.higher_is_better}
                for figure in self.case.figures
            },
            "contestants": contestants,
            "advantage": found,
            "steal": [round(share, 3) for share in self.steal],
            "skipped": self.skipped,
            "failed": self.failed,
            "note": self.note,
        }


def advantages(figure: Figure, ours: Iterable[float | None], theirs: Iterable[float | None]) -> list[float]:
    """Return the ratio of each round in which both were measured."""
    pairs = (figure.advantage(a, b) for a, b in zip(ours, theirs, strict=True))
    return [ratio for ratio in pairs if ratio is not None]


def spread(values: Sequence[float | None]) -> dict[str, Any]:
    """Return median, smallest, largest and all values; a missing one stays None in the list only."""
    rounded = [None if value is None else round(value, 4) for value in values]
    known = [value for value in rounded if value is not None]
    return {
        "median": round(statistics.median(known), 4),
        "min": min(known),
        "max": max(known),
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


@dataclass(slots=True)
class Rounds:
    """Measures the rounds of one case and keeps what was found."""

    case: Case
    run: Run
    say: Callable[[str], None]
    result: CaseResult = field(init=False)

    def __post_init__(self) -> None:
        self.result = CaseResult(self.case)

    def measure(self, contestant: str) -> Measurement | None:
        """Measure once, and again while the host takes much; None when it cannot be measured or failed."""
        figures, share = None, 0.0
        for _ in range(1 + MAX_REPEATS):
            stolen, total = stolen_ticks()
            try:
                figures = self.case.measure(contestant, self.run)
            except CannotMeasure as reason:
                self.result.skipped[contestant] = str(reason)
                self.say(f"  {contestant}: skipped: {reason}")
                return None
            except RuntimeError as problem:
                self.result.failed[contestant] = str(problem)
                self.say(f"  {contestant}: FAILED: {problem}")
                return None
            later, later_total = stolen_ticks()
            share = (later - stolen) / max(later_total - total, 1)
            if share <= MAX_STEAL:
                break
            self.say(f"  {contestant}: the host took {share:.0%}, once more")
        self.result.steal.append(share)
        return figures

    def all(self, only: frozenset[str], until: float | None = None) -> CaseResult:
        """Measure round by round; `until` is the time of `time.monotonic` when no further round begins."""
        case, scale = self.case, self.run.scale
        contestants = (*case.contestants, *(case.more if scale.all_peers or only else ()))
        rounds = min(scale.rounds, case.rounds)
        for number in range(1, rounds + 1):
            began = time.monotonic()
            figures: dict[str, Measurement] = {}
            for contestant in contestants:
                if contestant in self.result.skipped or contestant in self.result.failed:
                    continue
                if only and contestant not in only:
                    continue
                found = self.measure(contestant)
                if found is not None:
                    figures[contestant] = found
                    shown = ", ".join(f"{name} {value:,.4g}" for name, value in found.items())
                    self.say(f"  round {number} {contestant}: {shown}")
            self.result.rounds.append(figures)
            now = time.monotonic()
            if until is not None and number < rounds and now + (now - began) > until:
                self.result.note = f"out of time after {number} of {rounds} rounds"
                self.say(f"  {self.result.note}")
                break
        return self.result


def run_case(
    case: Case, run: Run, *, only: frozenset[str], say: Callable[[str], None], until: float | None = None
) -> CaseResult:
    """Measure all contestants in interleaved rounds; a figure during which the host took much is repeated."""
    return Rounds(case, run, say).all(only, until)


def ratios(case: Mapping[str, Any]) -> dict[str, float]:
    """Return the median ratios of the main figure of a case in a result file, by contestant."""
    found: Mapping[str, Any] = case["advantage"].get(case["metric"], {})
    return {name: figures["median"] for name, figures in found.items()}
