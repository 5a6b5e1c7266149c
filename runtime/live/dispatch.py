"""One live frame of one connection: start its calls, write their replies. Spec: wire 4, live-api 3."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.core import capacity
from runtime.core.assertions import HANDLE_RPC_ENVELOPE, assert_invariant
from runtime.core.errors import INTERNAL_ERROR, INTERNAL_ERROR_TEXT, LiveError, WireError, to_wire
from runtime.core.events import CallFinished, EventBus
from runtime.core.sink import Frame
from runtime.core.tasks import reraise_own_cancellation
from runtime.live.callables import call
from runtime.live.devwarnings import CallWarnings
from runtime.live.pipeline import Pipeline, resolve
from runtime.live.runningcalls import RunningCall
from runtime.live.stream import StreamResult, StreamRunner
from runtime.wire import jsoncodec, rpc
from runtime.wire.rpc import BadEntry, BatchFrame, CallFrame
from runtime.wire.stream import encode_stream_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.clock import Clock
    from runtime.core.connection import Connection
    from runtime.core.metrics import Metrics
    from runtime.core.tasks import TaskOwner
    from runtime.core.turnbatch import TurnBatch
    from runtime.live.context import Ctx
    from runtime.live.generation import Generation
    from runtime.live.registry import Endpoint
    from runtime.live.runner import FunctionRunner
    from runtime.live.runningcalls import RunningCalls
    from runtime.live.tracing import Tracing
    from runtime.wire.binary import BinaryCall

__all__ = ["CallSlots", "Dispatcher"]

logger = logging.getLogger("realtime.rpc")

OVERLOADED = WireError("OVERLOADED", "Too many calls in flight")
BAD_ENTRY = WireError("INVALID_REQUEST", "Each batch entry requires rpc and id")
TOO_DEEP = WireError("INVALID_REQUEST", "Envelope too deep")

# The reply waits for the app's error handler, but not for one that hangs.
ON_ERROR_TIMEOUT = 5.0

# Labels of calls that no registered path stands for, so that clients cannot make metric series.
INVALID_PATH = "__invalid__"
UNKNOWN_PATH = "__unknown__"


class CallSlots:
    """How many calls of one connection run now; at most `MAX_INFLIGHT_CALLS`."""

    __slots__ = ("limit", "used")

    def __init__(self) -> None:
        self.limit = capacity.get("MAX_INFLIGHT_CALLS")
        self.used = 0

    def take(self) -> bool:
        """Take a slot; return whether there was one."""
        if self.used >= self.limit:
            capacity.record("MAX_INFLIGHT_CALLS", "reject")
            return False
        self.used += 1
        return True

    def give_back(self) -> None:
        """Return a slot."""
        self.used -= 1


@dataclass(slots=True)
class _Answer:
    """The inner object of a reply, and the stream whose held frames follow it."""

    inner: bytes
    stream: StreamResult | None = None


class Dispatcher:
    """Runs calls against the generation in force and answers them."""

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        functions: FunctionRunner,
        streams: StreamRunner,
        turn: TurnBatch,
        metrics: Metrics,
        events: EventBus,
        clock: Clock,
        generation: Callable[[], Generation],
        max_frame: int,
        dev: bool,
        traceback_of: Callable[[BaseException], str],
    ) -> None:
        self._pipeline = pipeline
        self._functions = functions
        self._streams = streams
        self._turn = turn
        self._metrics = metrics
        self._events = events
        self._clock = clock
        self._generation = generation
        self._max_frame = max_frame
        self._dev = dev
        self._warnings = CallWarnings() if dev else None
        self._traceback_of = traceback_of
        #: What runs now, where somebody may want to look; else `None`.
        self.running: RunningCalls | None = None
        #: Makes spans of calls; `None` where nothing does.
        self.tracing: Tracing | None = None

    def wire_error(self, error: BaseException) -> WireError:
        """Return what a client may see of `error`; in dev with its traceback."""
        try:
            return to_wire(error, self._traceback_of if self._dev else None)
        except Exception:
            logger.exception(
                "%s cannot be sent: its __init__ must call super().__init__(code, message)",
                type(error).__qualname__,
            )
            return WireError(INTERNAL_ERROR, INTERNAL_ERROR_TEXT)

    def sizes(self) -> dict[str, int]:
        """Return how many warnings are remembered; there are none outside dev."""
        return {} if self._warnings is None else self._warnings.sizes()

    def call(self, connection: Connection, frame: CallFrame, slots: CallSlots, tasks: TaskOwner) -> None:
        """Start one call; its reply comes when it is done, in whatever order calls finish."""
        if not slots.take():
            self._refuse(connection, frame.id, OVERLOADED)
            return
        tasks.start(self._run_call(connection, frame, slots), name=frame.path[:64])

    def binary(self, connection: Connection, frame: BinaryCall, slots: CallSlots, tasks: TaskOwner) -> None:
        """Start a call with bytes, which are its first argument; it is answered as any call. Spec: wire 4.6."""
        args = [frame.payload, *frame.args] if isinstance(frame.args, list) else frame.args
        self.call(connection, CallFrame(frame.path, frame.id, args, is_binary=True), slots, tasks)

    def batch(self, connection: Connection, frame: BatchFrame, slots: CallSlots, tasks: TaskOwner) -> None:
        """Start a batch; it is answered in one frame, in the order of its entries."""
        limit = capacity.get("MAX_BATCH_CALLS")
        if len(frame.entries) > limit:
            capacity.record("MAX_BATCH_CALLS", "reject", size=len(frame.entries))
            self._refuse_batch(connection, frame, limit)
            return
        tasks.start(self._run_batch(connection, frame, slots), name="batch")

    def too_deep(self, connection: Connection, ids: list[str], *, is_batch: bool) -> None:
        """Answer a frame that is nested too deep to be looked at."""
        inners = [self.error_bytes(id, TOO_DEEP) for id in ids]
        self._count(INVALID_PATH, TOO_DEEP.code)
        self._metrics.add("security_refusals_total", "depth")
        capacity.record("MAX_ENVELOPE_DEPTH", "reject")
        if is_batch:
            self._write_batch(connection, inners)
        else:
            for id, inner in zip(ids, inners, strict=True):
                connection.write_control(rpc.encode_reply(id, inner))

    async def _run_call(self, connection: Connection, frame: CallFrame, slots: CallSlots) -> None:
        try:
            answer = await self._execute(connection, frame)
        finally:
            slots.give_back()
        if self._turn.has_events:
            await self._turn.flush_stored()
        if frame.id is not None:
            inner = rpc.without_id(frame.id, answer.inner) if frame.is_binary else answer.inner
            self._reply(connection, frame.id, inner)
        if answer.stream is not None:
            self._streams.written(answer.stream, connection)

    def _reply(self, connection: Connection, id: str, inner: bytes) -> None:
        """Write one reply; one that the client would drop for its size becomes an error that says so."""
        if not inner:
            assert_invariant(False, HANDLE_RPC_ENVELOPE)
            inner = self.error_bytes(id, WireError(INTERNAL_ERROR, INTERNAL_ERROR_TEXT))
        reply = Frame(rpc.encode_reply(id, inner))
        if self._max_frame and reply.size > self._max_frame:
            reply = Frame(rpc.encode_reply(id, self.error_bytes(id, WireError(*rpc.TOO_LARGE))))
            if reply.size > self._max_frame:  # the id alone is that long: no answer can reach its caller
                self._metrics.add("rpc_calls_dropped_total", "reply_size")
                return
        connection.reply(reply)

    async def _run_batch(self, connection: Connection, frame: BatchFrame, slots: CallSlots) -> None:
        async def entry(one: CallFrame | BadEntry) -> _Answer:
            if isinstance(one, BadEntry) or one.id is None:
                self._count(INVALID_PATH, BAD_ENTRY.code)
                return _Answer(self.error_bytes(one.id or "", BAD_ENTRY))
            if not slots.take():
                self._count(UNKNOWN_PATH, OVERLOADED.code)
                return _Answer(self.error_bytes(one.id, OVERLOADED))
            try:
                answer = await self._execute(connection, one)
            finally:
                slots.give_back()
            if answer.stream is None and not rpc.fits_batch_frame(answer.inner, self._max_frame):
                answer.inner = self.error_bytes(one.id, WireError(*rpc.TOO_LARGE))
            return answer

        if frame.sequential:
            answers = [await entry(one) for one in frame.entries]
        else:
            answers = list(await asyncio.gather(*(entry(one) for one in frame.entries)))
        await self._turn.flush_stored()
        self._write_batch(connection, [answer.inner for answer in answers])
        for answer in answers:
            if answer.stream is not None:
                self._streams.written(answer.stream, connection)

    async def _execute(self, connection: Connection, frame: CallFrame) -> _Answer:
        """Run one call to its inner reply; whatever goes wrong becomes an error reply."""
        generation = self._generation()
        generation.enter()
        started = self._clock.monotonic()
        ended = None if self.running is None else self._begin(self.running, connection, frame, started)
        endpoint: Endpoint | None = None
        ctx: Ctx | None = None
        failure: BaseException | None = None
        wire_error: WireError | None = None
        try:
            endpoint = resolve(generation.registry, frame)
            ctx = self._functions.ctx_for(connection, frame, thread=endpoint.thread)
            if frame.id is None and self._warnings is not None:
                self._warnings.unanswered(endpoint)
            work = self._produce(generation, endpoint, ctx, connection, frame)
            tracing = self.tracing
            if tracing is not None and tracing.is_active(started):
                kind = "binary" if frame.is_binary else _kind(endpoint, frame)
                work = tracing.around(work, endpoint.path, kind, ctx.request_id)
            answer = await work
        except BaseException as error:
            reraise_own_cancellation()
            failure = error
            wire_error = self.wire_error(error)
            answer = _Answer(self.error_bytes(frame.id or "", wire_error))
            if not isinstance(error, LiveError):
                await self.unexpected(generation, frame.path if endpoint else UNKNOWN_PATH, error, ctx)
        finally:
            generation.exit()
            if ended is not None:
                ended()
        if endpoint is None:
            endpoint = generation.registry.find(frame.path)  # which was called, but not as it can be
        code = wire_error.code if wire_error else None
        kind = _kind(endpoint, frame) if endpoint is not None else "rpc"
        self.finished(
            connection, endpoint, frame.path, kind, code, self._clock.monotonic() - started, failure
        )
        return answer

    async def _produce(
        self, generation: Generation, endpoint: Endpoint, ctx: Ctx, connection: Connection, frame: CallFrame
    ) -> _Answer:
        """Run what is called, and encode what it returns."""
        result = await self._pipeline.run(generation.registry, endpoint, ctx, connection, frame)
        if self._warnings is not None:
            self._warnings.result(endpoint, result)
        return self._answer(frame.id or "", result, ctx)

    @staticmethod
    def _begin(
        running: RunningCalls, connection: Connection, frame: CallFrame, started: float
    ) -> Callable[[], None]:
        """Note a call for those who look; return what ends that."""
        call = RunningCall(connection, frame.path, frame.id, frame.stream, frame.args, started)
        running.begin(call)
        return lambda: running.end(call)

    def _answer(self, id: str, result: Any, ctx: Ctx) -> _Answer:
        if not isinstance(result, StreamResult):
            data = jsoncodec.encode(result)
            if self._max_frame and len(data) > self._max_frame:
                raise LiveError(*rpc.TOO_LARGE)
            return _Answer(rpc.encode_ok(id, data))
        try:
            return _Answer(encode_stream_reply(id, result.reply), result)
        except Exception:
            self._streams.roll_back(result, ctx)
            raise

    async def unexpected(
        self, generation: Generation, path: str, error: BaseException, ctx: Ctx | None
    ) -> None:
        """Log an exception that is no `LiveError` and tell the app's error handler of it."""
        logger.error("%s failed\n%s", path, self._traceback_of(error).rstrip())
        handler = generation.registry.options.on_error
        if handler is None:
            return
        try:
            async with asyncio.timeout(ON_ERROR_TIMEOUT):
                await call(handler, path, error, ctx)
        except Exception:
            logger.exception("the on_error handler failed")

    def finished(
        self,
        connection: Connection,
        endpoint: Endpoint | None,
        path: str,
        kind: str,
        code: str | None,
        duration: float,
        error: BaseException | None,
    ) -> None:
        """Count and tell that a call of `kind` ended, `duration` seconds after it began."""
        label = endpoint.path if endpoint else (UNKNOWN_PATH if code == "NOT_FOUND" else INVALID_PATH)
        self._count(label, code)
        self._metrics.observe("rpc_duration_seconds", duration, label)
        if self._events.listeners:
            path = endpoint.path if endpoint else path[:128]
            self._events.emit(CallFinished(path, kind, connection.user, duration, code, connection.id, error))

    def _count(self, label: str, code: str | None) -> None:
        self._metrics.add("rpc_total", label, "error" if code else "ok")
        if code:
            self._metrics.add("rpc_errors_total", label, code)

    def _refuse(self, connection: Connection, id: str | None, error: WireError) -> None:
        self._count(UNKNOWN_PATH, error.code)
        if id is None:
            self._metrics.add("rpc_calls_dropped_total", "overloaded")
            return
        connection.write_control(rpc.encode_reply(id, self.error_bytes(id, error)))

    def _refuse_batch(self, connection: Connection, frame: BatchFrame, limit: int) -> None:
        error = WireError("INVALID_REQUEST", f"Batch exceeds maximum of {limit} calls")
        self._count("__batch__", error.code)
        ids = [entry.id for entry in frame.entries if entry.id] or [""]
        self._write_batch(connection, [self.error_bytes(id, error) for id in ids])

    def _write_batch(self, connection: Connection, inners: list[bytes]) -> None:
        for payload in rpc.encode_batch_replies(inners, self._max_frame):
            connection.write_control(payload)

    @staticmethod
    def error_bytes(id: str, error: WireError) -> bytes:
        """Return the inner object of a reply that tells `error`."""
        try:
            return rpc.encode_error(
                id,
                error.code,
                error.message,
                issues=error.issues,
                retry_after_ms=error.retry_after_ms,
                data=error.data,
            )
        except Exception:  # also whatever an object of the app's raises when it is looked at
            kept: dict[str, Any] = {}
            for name, value in (("issues", error.issues), ("data", error.data)):
                if _has_json_form(value):
                    kept[name] = value
                else:
                    logger.error("the %s of a %s error has no JSON form and was left out", name, error.code)
            return rpc.encode_error(id, error.code, error.message, **kept)


def _kind(endpoint: Endpoint, frame: CallFrame) -> str:
    return "stream" if frame.stream and endpoint.kind != "rpc" else "rpc"


def _has_json_form(value: Any) -> bool:
    try:
        jsoncodec.encode(value)
    except Exception:
        return False
    return True
