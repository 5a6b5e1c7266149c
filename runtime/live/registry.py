"""Path -> endpoint: built once per load, immutable, swapped whole on reload. Spec: live-api 1."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from runtime.live import collector as collecting
from runtime.live.admission import Admission
from runtime.live.aggregate import AggregateDeclaration, AggregatePart
from runtime.live.aggregateclass import aggregates_of
from runtime.live.bare import bare_of
from runtime.live.collector import Collector, MessageOptions, Middleware
from runtime.live.cronjobs import CronJob, job_of
from runtime.live.declare import Channel
from runtime.live.derived import Effect, effect_of
from runtime.live.derivedoptions import DerivedOptions
from runtime.live.guards import Guard
from runtime.live.marks import Kind, Mark, learn_path, mark_of
from runtime.live.options import Predicate, StreamOptions
from runtime.live.problems import LoadProblem, excerpt, relative
from runtime.live.ratelimit import RateLimits
from runtime.live.room import RoomDeclaration, RoomPart
from runtime.live.roomclass import room_of
from runtime.live.signature import Signature, SignatureError, signature_of
from runtime.live.uploadoptions import UploadOptions
from runtime.live.webhook import Webhook
from runtime.wire.names import is_rpc_path

__all__ = ["Endpoint", "LiveModule", "Registry", "build_module", "build_registry"]

#: Set on a stream made by `pipe`.
PIPED = "__realtime_piped__"
NO_GUARD = "no _guard: "  # how the warning of a module without one goes on behind its place
ALLOW_PUBLIC_COMMENT = "# realtime-allow-public"
_ALLOWS_PUBLIC = re.compile(r"#\s*realtime-allow-public\b")


@dataclass(slots=True, frozen=True, eq=False)
class Endpoint:
    """One callable path with everything the pipeline needs to know of it."""

    path: str
    module: str
    name: str
    kind: Kind
    fn: Callable[..., Any] | None
    signature: Signature
    options: StreamOptions | None
    gates: tuple[Predicate, ...]
    guard: Callable[[Any], Any] | None
    file: str
    line: int
    public: bool
    volatile: bool
    thread: bool
    #: Whether it has a rate limit of its own.
    limited: bool
    doc: str
    #: Of a binary call: its largest size in bytes, `None` for the usual one.
    max_size: int | None = None
    #: Of an upload: its bounds.
    upload: UploadOptions | None = None
    #: Of a derived stream: what it is made of.
    derived: DerivedOptions | None = None
    #: Of an aggregate: which part of it. `path` goes on behind the aggregate's for a window.
    aggregate: AggregatePart | None = None
    #: Of a part of a room: which. `name` is the room's then, and `path` goes on behind it.
    room: RoomPart | None = None

    def decode(self, args: list[Any]) -> list[Any]:
        """Return the arguments of a client as the annotations, or the schema of the stream, want them.

        Raises:
            LiveError: `VALIDATION`, with what is wrong where.
        """
        schema = self.options.args if self.options is not None else None
        return self.signature.decode(args) if schema is None else self.signature.counted(schema.decode(args))

    @property
    def member(self) -> str | None:
        """The name inside the export `name`, for clients: `data` of `board.data`; `None` for the export itself."""
        if self.aggregate is not None:
            return self.aggregate.window
        return self.room.member if self.room is not None else None

    @property
    def group_doc(self) -> str:
        """What is said of the export as a whole, where it has members."""
        if self.aggregate is not None:
            return self.aggregate.aggregate.doc
        return self.room.room.doc if self.room is not None else ""

    @property
    def guarded(self) -> bool:
        """Whether the module has a `_guard`, or the room one of its own."""
        return self.guard is not None or (self.room is not None and self.room.room.is_guarded)

    @property
    def dynamic(self) -> bool:
        """Whether clients call it with arguments to get a store of its own."""
        return self.kind != "rpc" and bool(self.signature.parameters)


@dataclass(slots=True, frozen=True, eq=False)
class LiveModule:
    """One file below `live/`: its path as a module, its endpoints, and what it declared for the whole app."""

    name: str
    file: str
    guard: Callable[[Any], Any] | None
    endpoints: tuple[Endpoint, ...]
    collector: Collector
    module: types.ModuleType
    warnings: tuple[str, ...] = ()
    problems: tuple[LoadProblem, ...] = ()
    #: What runs at its time.
    jobs: tuple[CronJob, ...] = ()
    #: What runs after publishes.
    effects: tuple[Effect, ...] = ()

    @property
    def unguarded(self) -> str | None:
        """The warning that anybody may call the module, `None` where somebody decided who may."""
        return next((text for text in self.warnings if NO_GUARD in text), None)


@dataclass(slots=True, frozen=True, eq=False)
class Registry:
    """Every endpoint of one generation. `problems` are what kept modules or endpoints out of it."""

    endpoints: Mapping[str, Endpoint] = field(default_factory=lambda: MappingProxyType({}))
    modules: Mapping[str, LiveModule] = field(default_factory=lambda: MappingProxyType({}))
    problems: tuple[LoadProblem, ...] = ()
    middleware: tuple[Middleware, ...] = ()
    options: MessageOptions = field(default_factory=MessageOptions)
    admission: Admission | None = None
    #: The rules of the dev warnings of streams that are not the usual ones, by name.
    warnings: Mapping[str, Any] = field(default_factory=dict)
    rate_limits: RateLimits | None = None
    wiring: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    #: Streams with a fixed topic and an `on_unsubscribe`, by topic: it runs for raw subscriptions as well.
    leavable: Mapping[str, Endpoint] = field(default_factory=lambda: MappingProxyType({}))
    #: Webhooks by the path of their URL.
    webhooks: Mapping[str, Webhook] = field(default_factory=lambda: MappingProxyType({}))
    #: Scheduled functions by path; clients cannot call them.
    jobs: Mapping[str, CronJob] = field(default_factory=lambda: MappingProxyType({}))
    #: What runs after publishes, by path; clients cannot call it.
    effects: Mapping[str, Effect] = field(default_factory=lambda: MappingProxyType({}))

    def find(self, path: str) -> Endpoint | None:
        """Return the endpoint registered as `path`."""
        return self.endpoints.get(path)


def build_module(
    module: types.ModuleType, name: str, file: Path, project: Path, collector: Collector | None = None
) -> LiveModule:
    """Read what a module that has run declares.

    Mistakes in single declarations become `problems`; the others of the module are still registered.
    """
    warnings: list[str] = []
    problems: list[LoadProblem] = []
    endpoints: list[Endpoint] = []
    jobs: list[CronJob] = []
    effects: list[Effect] = []
    guard = _guard_of(module, name, file, project, problems)
    place = relative(file, project)
    rooms = _rooms(module, file, place, problems)
    actions = {id(function) for room in rooms.values() for function in room.actions.values()}
    used = {id(function) for room in rooms.values() for function in room.functions()}
    aggregates = _aggregates(module, file, place, problems)
    for one in aggregates.values():
        used.update(id(snapshot) for snapshot in one.snapshot_functions())
    for attribute, value in list(vars(module).items()):
        mark = mark_of(value)
        if attribute.startswith("_"):
            if (mark is not None and attribute != "_guard") or isinstance(
                value, RoomDeclaration | AggregateDeclaration
            ):
                warnings.append(
                    f"{place}: {attribute} is reserved: names that begin with '_' are not exported"
                )
            continue
        if id(value) in actions:
            continue  # callable through its room, under the room's guard, and only there
        room = rooms.get(attribute)
        if room is not None:
            warnings.extend(f"{place}: {attribute}: {text}" for text in room.skipped)
        elif attribute in aggregates:
            one = aggregates[attribute]
            warnings.extend(f"{place}:{one.line}: {attribute}: {text}" for text in one.skipped)
            endpoints.extend(_aggregate_endpoints(one, attribute, name, file, project, guard))
            continue
        elif mark is None:
            bare = bare_of(value)
            if bare is not None and bare.function.__name__ == attribute:
                line = _line_of(bare.function, file)
                problems.append(LoadProblem(place, line, "TypeError", bare.text, excerpt=excerpt(file, line)))
            is_own = inspect.iscoroutinefunction(value) and value.__module__ == module.__name__
            if is_own and id(value) not in used:
                warnings.append(f"{place}: {attribute} is not wrapped: put @live over it to make it callable")
            continue
        elif not _declared_here(value, module, file):
            continue
        try:
            if mark is not None and mark.cron is not None:
                job = job_of(value, mark, f"{name}/{attribute}", place, _line_of(value, file))
                warnings.extend(f"{place}:{job.line}: {attribute}: {text}" for text in job.warnings)
                jobs.append(job)
            elif mark is not None and mark.effect is not None:
                effects.append(effect_of(value, mark, f"{name}/{attribute}", place, _line_of(value, file)))
            elif room is None:
                endpoints.append(_endpoint(value, mark or Mark(), attribute, name, file, project, guard))
            else:
                endpoints.extend(_room_endpoints(room, attribute, name, file, project, guard))
        except SignatureError as error:
            line = room.line if room is not None else _line_of(value, file)
            problems.append(
                LoadProblem(
                    place, line, "SignatureError", f"{attribute}: {error}", excerpt=excerpt(file, line)
                )
            )
    if collector is not None:
        problems.extend(_hidden(collector, module, name, file, place))
    unusable = [one for one in endpoints if not is_rpc_path(one.path)]
    if unusable:
        problems.append(_unusable(unusable[0], name, place, file))
        endpoints = [one for one in endpoints if one not in unusable]
    warnings.extend(_unguarded(endpoints, place, file))
    return LiveModule(
        name,
        place,
        guard,
        tuple(endpoints),
        collector or Collector(),
        module,
        tuple(warnings),
        tuple(problems),
        tuple(jobs),
        tuple(effects),
    )


def _unusable(endpoint: Endpoint, module: str, place: str, file: Path) -> LoadProblem:
    """Return what is wrong with a path that no frame may name: of the module, or of this endpoint of it."""
    is_file = not is_rpc_path(f"{module}/x")
    what = f"the file name makes the path {module!r}, which" if is_file else f"path {endpoint.path!r}"
    text = f"{what} cannot be called by clients: paths have letters and digits of ASCII, '_' and '-'"
    hint = "rename the file" if is_file else "rename the function"
    line = None if is_file else endpoint.line
    return LoadProblem(place, line, "UnusableName", text, hint, excerpt=excerpt(file, line))


def build_registry(
    modules: Iterable[LiveModule], problems: Iterable[LoadProblem] = (), apart: Iterable[Collector] = ()
) -> Registry:
    """Join modules into one registry. `apart`: what was declared for the whole app, but not in one of `modules`.

    Two endpoints with one path, or two streams with one fixed topic, are a problem that names both, and neither is
    registered: which of them should answer cannot be known.
    """
    found = list(problems)
    kept: dict[str, LiveModule] = {}
    by_path: dict[str, list[Endpoint]] = {}
    by_topic: dict[str, list[Endpoint]] = {}
    for module in sorted(modules, key=lambda one: one.name):
        kept[module.name] = module
        found.extend(module.problems)
        for endpoint in module.endpoints:
            by_path.setdefault(endpoint.path, []).append(endpoint)
            topic = endpoint.options.topic if endpoint.options else None
            # A pipe shares the topic of the stream it begins with.
            if (
                endpoint.kind == "stream"
                and isinstance(topic, str)
                and not getattr(endpoint.fn, PIPED, False)
            ):
                by_topic.setdefault(topic, []).append(endpoint)
    clashing: set[Endpoint] = set()
    for what, groups in (("path", by_path), ("topic", by_topic)):
        for value, group in groups.items():
            if len(group) > 1:
                clashing.update(group)
                found.append(_clash(what, value, group))
    collectors = [*apart, *(module.collector for module in kept.values()), collecting.ambient]
    options = [c.options for c in collectors if c.options is not None]
    webhooks = _webhooks(kept.values(), collectors, found)
    return Registry(
        endpoints=MappingProxyType({p: g[0] for p, g in by_path.items() if g[0] not in clashing}),
        modules=MappingProxyType(kept),
        problems=tuple(found),
        middleware=tuple(middleware for c in collectors for middleware in c.middleware),
        options=MessageOptions.merged(options),
        admission=next((c.admission for c in collectors if c.admission is not None), None),
        warnings={name: rule for c in reversed(collectors) for name, rule in c.warnings.items()},
        rate_limits=next((c.rate_limits for c in collectors if c.rate_limits is not None), None),
        wiring=MappingProxyType({k: v for c in reversed(collectors) for k, v in c.wiring.items()}),
        webhooks=webhooks,
        jobs=MappingProxyType({job.path: job for module in kept.values() for job in module.jobs}),
        effects=MappingProxyType({one.path: one for module in kept.values() for one in module.effects}),
        leavable=MappingProxyType(
            {
                topic: group[0]
                for topic, group in by_topic.items()
                if len(group) == 1 and group[0].options is not None and group[0].options.on_unsubscribe
            }
        ),
    )


def _webhooks(
    modules: Iterable[LiveModule], collectors: Iterable[Collector], problems: list[LoadProblem]
) -> Mapping[str, Webhook]:
    """Return the webhooks that have a path by it; two with one path become a problem, and neither is answered.

    What a test imported without an app counts only where the app has nothing.
    """
    files = {id(module.collector): module.file for module in modules}
    by_path: dict[str, list[tuple[str, Webhook]]] = {}
    for one in collectors:
        is_ambient = one is collecting.ambient
        for webhook in one.webhooks:
            if webhook.path is not None and not (is_ambient and webhook.path in by_path):
                file = files.get(id(one)) or Path(webhook.file).name
                by_path.setdefault(webhook.path, []).append((file, webhook))
    for path, group in list(by_path.items()):
        if len(group) > 1:
            del by_path[path]
            places = " and ".join(f"{file}:{webhook.line}" for file, webhook in group)
            message = f"path {path!r} belongs to two webhooks: {places}"
            file, last = group[-1]
            hint = "give one of them another path"
            problems.append(LoadProblem(file, last.line, "DuplicatePath", message, hint, excerpt=[]))
    return MappingProxyType({path: group[0][1] for path, group in by_path.items()})


def _declared_here(value: Any, module: types.ModuleType, file: Path) -> bool:
    """Return whether `value` was made in this module, not imported from another live module."""
    if isinstance(value, Channel):
        return Path(value.file).resolve() == file.resolve()
    return getattr(value, "__module__", None) == module.__name__


def _rooms(
    module: types.ModuleType, file: Path, place: str, problems: list[LoadProblem]
) -> dict[str, RoomDeclaration]:
    """Return the rooms that this module exports, by attribute; a class that cannot be a room becomes a problem."""
    found: dict[str, RoomDeclaration] = {}
    for attribute, value in vars(module).items():
        is_imported = isinstance(value, type) and value.__module__ != module.__name__
        if attribute.startswith("_") or is_imported:
            continue
        try:
            room = room_of(value)
        except (TypeError, ValueError) as error:
            line = _line_of(value, file)
            message = f"{attribute}: {error}"
            problems.append(
                LoadProblem(place, line, type(error).__name__, message, excerpt=excerpt(file, line))
            )
            continue
        if room is not None and Path(room.file).resolve() == file.resolve():
            found[attribute] = room
    return found


def _hidden(
    collector: Collector, module: types.ModuleType, name: str, file: Path, place: str
) -> Iterable[LoadProblem]:
    """Yield a problem for each pair of decorated functions of one name: Python keeps the later one silently."""
    first: dict[str, int] = {}
    for function in collector.marked:
        inner = inspect.unwrap(function)
        attribute, line = inner.__qualname__, _line_of(function, file)
        if "." in attribute or attribute.startswith("_") or inner.__module__ != module.__name__:
            continue
        other = first.setdefault(attribute, line)
        if other != line:
            yield LoadProblem(
                place,
                line,
                "DuplicatePath",
                f"path '{name}/{attribute}' is declared twice: {place}:{other} and {place}:{line}",
                "rename one of them",
                excerpt=excerpt(file, line),
            )


def _clash(what: str, value: str, group: list[Endpoint]) -> LoadProblem:
    places = " and ".join(f"{e.file}:{e.line}" for e in group)
    kind = "DuplicatePath" if what == "path" else "DuplicateTopic"
    hint = "rename one of them" if what == "path" else "give one of them another topic"
    last = group[-1]
    return LoadProblem(
        last.file, last.line, kind, f"{what} {value!r} is declared twice: {places}", hint, excerpt=[]
    )


def _endpoint(
    value: Any,
    mark: Mark,
    name: str,
    module: str,
    file: Path,
    project: Path,
    guard: Callable[[Any], Any] | None,
) -> Endpoint:
    options = mark.options
    mark.path = f"{module}/{name}"
    topic = options.topic if options else None
    function: Callable[..., Any] | None = None if isinstance(value, Channel) else value
    if function is None:
        signature = signature_of(topic, skip_ctx=False) if callable(topic) else Signature((), Any)
    else:
        learn_path(function, f"{module}/{name}")
        if mark.derived is None:
            signature = signature_of(function)
        else:
            signature = mark.derived.signature_of(function)
            function = mark.derived.body_of(function)
            options = mark.derived.options_at(f"{module}/{name}")
    return Endpoint(
        path=f"{module}/{name}",
        module=module,
        name=name,
        kind=mark.kind,
        fn=function,
        signature=signature,
        options=options,
        gates=tuple(mark.gates),
        guard=guard,
        file=relative(file, project),
        line=_line_of(value, file),
        public=mark.public,
        volatile=mark.volatile,
        thread=mark.thread,
        limited=mark.limited,
        max_size=mark.max_size,
        upload=mark.upload,
        derived=mark.derived,
        doc=inspect.getdoc(value) or "" if function is not None else "",
    )


def _room_endpoints(
    room: RoomDeclaration,
    name: str,
    module: str,
    file: Path,
    project: Path,
    guard: Callable[[Any], Any] | None,
) -> Iterable[Endpoint]:
    room.place.path = f"{module}/{name}"
    for part in room.parts():
        mark = mark_of(part.fn) or Mark()
        path = f"{module}/{name}/{part.segment}"
        if part.fn is not None:
            learn_path(part.fn, path)
        yield Endpoint(
            path=path,
            module=module,
            name=name,
            kind=part.kind,
            fn=part.fn,
            signature=part.signature,
            options=part.options,
            gates=tuple(mark.gates) if part.kind == "stream" else (),
            guard=guard,
            file=relative(file, project),
            line=part.line,
            public=mark.public,
            volatile=mark.volatile,
            thread=mark.thread,
            limited=mark.limited,
            doc=part.doc,
            room=part,
        )


def _aggregates(
    module: types.ModuleType, file: Path, place: str, problems: list[LoadProblem]
) -> dict[str, AggregateDeclaration]:
    """Return the aggregates that this module exports, by attribute; a class that cannot be one becomes a problem."""
    found, wrong = aggregates_of(module, file)
    for attribute, (line, error) in wrong.items():
        message = f"{attribute}: {error}"
        problems.append(LoadProblem(place, line, type(error).__name__, message, excerpt=excerpt(file, line)))
    return found


def _aggregate_endpoints(
    declared: AggregateDeclaration,
    name: str,
    module: str,
    file: Path,
    project: Path,
    guard: Callable[[Any], Any] | None,
) -> Iterable[Endpoint]:
    path = f"{module}/{name}"
    for part in declared.parts(path):
        yield Endpoint(
            path=path + part.segment,
            module=module,
            name=name,
            kind="stream",
            fn=part.fn,
            signature=part.signature,
            options=part.options,
            gates=(),
            guard=guard,
            file=relative(file, project),
            line=declared.line,
            public=False,
            volatile=False,
            thread=False,
            limited=False,
            doc=declared.doc if part.window is None else "",
            aggregate=part,
        )


def _guard_of(
    module: types.ModuleType, name: str, file: Path, project: Path, problems: list[LoadProblem]
) -> Callable[[Any], Any] | None:
    guard = getattr(module, "_guard", None)
    if guard is None or callable(guard):
        return guard
    message = f"_guard must be made by guard(...) or be a function of ctx, not {guard!r}"
    problems.append(
        LoadProblem(relative(file, project), None, "TypeError", message, "every call is refused until then")
    )

    def refuse(ctx: Any) -> bool:
        return False

    return Guard((refuse,))


def _unguarded(endpoints: list[Endpoint], place: str, file: Path) -> Iterable[str]:
    open_ones = [endpoint for endpoint in endpoints if not endpoint.guarded]
    if open_ones and not _declared_public(open_ones, file):
        names = dict.fromkeys(endpoint.name for endpoint in open_ones)
        yield (
            f"{place}: {NO_GUARD}anybody may call {', '.join(names)}; add one, mark them "
            f"@live.public, or write {ALLOW_PUBLIC_COMMENT}"
        )


def _declared_public(endpoints: list[Endpoint], file: Path) -> bool:
    if all(endpoint.public for endpoint in endpoints):
        return True
    try:
        return _ALLOWS_PUBLIC.search(file.read_text(encoding="utf-8")) is not None
    except OSError:
        return False


def _line_of(value: Any, file: Path) -> int:
    if isinstance(value, Channel):
        return value.line
    code = getattr(inspect.unwrap(value), "__code__", None)
    return code.co_firstlineno if code is not None else 1
