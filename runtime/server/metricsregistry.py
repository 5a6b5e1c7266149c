"""`runtime.metrics_registry()`: where an app registers metrics of its own, made with prometheus-client.

One registry per process, for all its apps; every worker that shows metrics shows these beside its own. Spec: platform
3.5.
"""

from __future__ import annotations

import functools
import re
import threading
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry

from runtime.core import capacity
from runtime.core.errors import PlatformNotReady
from runtime.server.current import settings
from runtime.server.startup import OWN_ENVIRONMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.registry import Collector

__all__ = ["AppRegistry", "metrics_registry"]

_METRIC_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL_NAME: Final = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)


class AppRegistry(CollectorRegistry):
    """A registry of prometheus-client whose names any Prometheus takes.

    In dev and test a collector takes the place of one with its names, so that modules that register metrics can be
    loaded again; the new one begins at 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[Collector, frozenset[str]] = {}
        self._guard = threading.Lock()

    def register(self, collector: Collector) -> None:
        """Add a collector.

        Raises:
            ValueError: a name that Prometheus does not take, more than `MAX_HISTOGRAM_BUCKETS` buckets, or, outside
                dev and test, a name that is registered already.
        """
        names = frozenset(_names(collector))
        _check(collector, names)
        if _may_replace():
            for other, taken in list(self._names.items()):
                if names & taken:
                    self.unregister(other)
        super().register(collector)
        with self._guard:
            self._names[collector] = names

    def unregister(self, collector: Collector) -> None:
        """Take a collector out."""
        super().unregister(collector)
        with self._guard:
            self._names.pop(collector, None)

    def collectors(self) -> list[Collector]:
        """Return what is registered, in order."""
        with self._guard:
            return list(self._names)


@functools.cache
def metrics_registry() -> AppRegistry:
    """Return the registry for metrics of your own: `Counter("orders", "Orders.", registry=metrics_registry())`.

    Safe to call at import, before the app has started, and from any thread.
    """
    return AppRegistry()


def _names(collector: Collector) -> Iterable[str]:
    describe = getattr(collector, "describe", None)
    return [metric.name for metric in describe()] if describe is not None else []


def _check(collector: Collector, names: Iterable[str]) -> None:
    for name in names:
        if not _METRIC_NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of a metric: letters, digits, '_' and ':' only")
    for label in getattr(collector, "_labelnames", ()):
        if not _LABEL_NAME.fullmatch(label):
            raise ValueError(
                f"{label!r} cannot be the name of a label: letters, digits and '_' only, not '__' first"
            )
    most = capacity.get("MAX_HISTOGRAM_BUCKETS")
    bounds = getattr(collector, "_upper_bounds", ())
    count = sum(bound != float("inf") for bound in bounds)
    if count > most:
        capacity.record("MAX_HISTOGRAM_BUCKETS", "reject", size=count)
        raise ValueError(f"a histogram may have {most} buckets, not {count}; take fewer")


def _may_replace() -> bool:
    try:
        return settings().server.env in OWN_ENVIRONMENTS
    except PlatformNotReady:
        return False
