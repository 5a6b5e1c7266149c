"""The uploads of one worker: their chunks, bounds, ends. Spec: wire 4.7, live-api 7.2.

An upload is pending until its handler has been looked up, one turn of the loop after its first chunk, then it runs, and
it has settled when its one response is made. A handler that reads too slowly holds up its own sender: reading from that
socket stops while `max_buffered_chunks` or a few MiB wait, for `[websocket] upload_pause` at most. Bytes alone never
make an upload fail: after that time they are taken until there are too many pieces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.core import assertions, capacity
from runtime.core.assertions import assert_invariant
from runtime.core.errors import LiveError
from runtime.core.sink import Frame
from runtime.core.tasks import reraise_own_cancellation
from runtime.live.dispatch import OVERLOADED, UNKNOWN_PATH
from runtime.live.guards import run_guard
from runtime.live.uploadstate import PeerUploads, UploadState
from runtime.live.uploadstream import UploadCtx, UploadStream
from runtime.wire import binary, jsoncodec, names, rpc
from runtime.wire.binary import UploadCancel, UploadChunk, UploadHeader
from runtime.wire.rpc import CallFrame

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.clock import Clock
    from runtime.core.connection import Connection
    from runtime.core.metrics import Metrics
    from runtime.core.tasks import TaskOwner
    from runtime.core.turnbatch import TurnBatch
    from runtime.live.dispatch import CallSlots, Dispatcher
    from runtime.live.generation import Generation
    from runtime.live.pipeline import Pipeline
    from runtime.live.registry import Endpoint, Registry
    from runtime.live.scope import LiveScope
    from runtime.live.uploadoptions import UploadOptions

__all__ = ["Uploads"]

AGGREGATE_TEXT = "pending-upload aggregate buffer cap exceeded"
#: Bytes that may wait for a handler before its sender has to; fewer when many uploads run.
READ_AHEAD_BYTES = 4 * 1024 * 1024
#: Bytes and pieces that are still taken of what had been read when reading stopped.
OVERRUN_BYTES = 4 * 1024 * 1024
OVERRUN_CHUNKS = 1024


class Uploads:
    """Takes the upload frames of every connection of one worker."""

    def __init__(
        self,
        scope: LiveScope,
        dispatcher: Dispatcher,
        pipeline: Pipeline,
        tasks: TaskOwner,
        *,
        turn: TurnBatch,
        metrics: Metrics,
        clock: Clock,
        generation: Callable[[], Generation],
        max_frame: int,
        max_payload: int,
        max_pause: float,
    ) -> None:
        """Run handlers as tasks of `tasks`.

        `max_frame` and `max_payload` are bytes of the largest frame out and in, `max_pause` seconds.
        """
        self._scope = scope
        self._dispatcher = dispatcher
        self._pipeline = pipeline
        self._tasks = tasks
        self._turn = turn
        self._metrics = metrics
        self._clock = clock
        self._generation = generation
        self._max_frame = max_frame
        self._max_payload = max_payload
        self._max_pause = max_pause
        self._peers: dict[Connection, PeerUploads] = {}
        #: Bytes of all pending uploads, and how many run.
        self.pending_bytes = 0
        self.running = 0

    @property
    def active(self) -> int:
        """Uploads that have not settled."""
        return sum(len(peer.uploads) for peer in self._peers.values())

    def sizes(self) -> dict[str, int]:
        """Return how much uploads take that go on: all of them, and the largest of each kind."""
        peers = self._peers.values()
        uploads = [upload for peer in peers for upload in peer.uploads.values()]
        starting = [upload for upload in uploads if upload.options is None]
        return {
            "UPLOAD_MAX_BUFFERED_CHUNKS": max((len(one.stream) for one in uploads), default=0),
            "UPLOAD_MAX_CONCURRENT_PER_SESSION": max((peer.running for peer in peers), default=0),
            "UPLOAD_MAX_CONCURRENT_TOTAL": self.running,
            "UPLOAD_PENDING_MAX_AGGREGATE": self.pending_bytes,
            "UPLOAD_PENDING_MAX_CHUNKS": max((len(one.stream) for one in starting), default=0),
            "UPLOAD_PENDING_MAX_SIZE": max((one.pending_bytes for one in starting), default=0),
        }

    def take(self, connection: Connection, frame: UploadChunk | UploadCancel, slots: CallSlots) -> None:
        """Take one frame of a connection; what it fails with is answered."""
        if connection.closed:
            return
        peer = self._peers.get(connection)
        upload = None if peer is None else peer.uploads.get(frame.stream_id)
        if isinstance(frame, UploadCancel):
            if upload is not None:
                self._fail(upload, LiveError("CANCELLED", "upload cancelled by client"))
        elif frame.header is not None:
            if upload is not None:
                error = LiveError("INVALID_REQUEST", "streamId already active")
                self._respond(connection, frame.stream_id, self._inner(error))
            else:
                self._begin(connection, frame, frame.header, slots)
        elif upload is not None:  # else a late chunk of an upload that has settled
            self._chunk(upload, frame)

    def connection_closed(self, connection: Connection) -> None:
        """Abort whatever a connection that is gone was sending."""
        peer = self._peers.get(connection)
        if peer is not None:
            for upload in list(peer.uploads.values()):
                self._fail(upload, LiveError("DISCONNECTED", "connection closed"), answer=False)
            del self._peers[connection]

    # ------------------------------------------------------------ chunks

    def _begin(
        self, connection: Connection, chunk: UploadChunk, header: UploadHeader, slots: CallSlots
    ) -> None:
        size = len(chunk.payload)
        refused = self._refusal(size, slots)
        if refused is not None:
            self._dispatcher.finished(
                connection, None, header.path or "", "upload", refused.code, 0.0, refused
            )
            self._respond(connection, chunk.stream_id, self._inner(refused))
            return
        peer = self._peers.get(connection)
        if peer is None:
            peer = self._peers[connection] = PeerUploads()
        upload = UploadState(connection, chunk.stream_id, header, self._clock.monotonic())
        upload.stream = UploadStream(lambda: self._make_room(upload))
        peer.uploads[chunk.stream_id] = upload
        self._metrics.add("uploads_active")
        self._tasks.start(self._run(upload, slots), name=f"upload {(header.path or '')[:64]}")
        self._take(upload, chunk)

    def _refusal(self, size: int, slots: CallSlots) -> LiveError | None:
        limit = capacity.get("UPLOAD_PENDING_MAX_AGGREGATE")
        if self.pending_bytes + size > limit:
            capacity.record("UPLOAD_PENDING_MAX_AGGREGATE", "reject")
            return LiveError("OVERLOADED", f"{AGGREGATE_TEXT}; retry shortly")
        if not slots.take():
            return LiveError(OVERLOADED.code, OVERLOADED.message)
        return None

    def _chunk(self, upload: UploadState, chunk: UploadChunk) -> None:
        if chunk.seq != upload.expected:
            text = f"out-of-order chunk: expected {upload.expected}, got {chunk.seq}"
            self._fail(upload, LiveError("INVALID_REQUEST", text))
            return
        upload.expected = (upload.expected + 1) & 0xFFFFFFFF
        if not upload.is_complete:
            self._take(upload, chunk)

    def _take(self, upload: UploadState, chunk: UploadChunk) -> None:
        """Take a chunk that is the next one."""
        payload = chunk.payload
        upload.total += len(payload)
        problem = self._problem(upload, payload)
        if problem is not None:
            self._fail(upload, problem)
            return
        self._metrics.add("upload_bytes_total", amount=len(payload))
        if upload.options is None:
            upload.pending_bytes += len(payload)
            self.pending_bytes += len(payload)
        if payload:
            upload.stream.push(payload)
        if chunk.is_last:
            upload.is_complete = True
            upload.stream.end()
        self._hold_if_behind(upload)
        upload.unchecked += len(payload)
        self._check_again(upload)

    def _problem(self, upload: UploadState, payload: bytes) -> LiveError | None:
        """Return what is wrong with taking `payload`, which has been added to the total."""
        options, waiting = upload.options, len(upload.stream)
        if options is not None:
            if upload.total > options.size_limit:
                capacity.record("UPLOAD_MAX_SIZE", "reject", size=upload.total, limit=options.size_limit)
                return LiveError("PAYLOAD_TOO_LARGE", "upload exceeds maxSize")
            if payload and waiting >= options.chunk_limit and not self._may_overrun(upload, options):
                capacity.record("UPLOAD_MAX_BUFFERED_CHUNKS", "reject")
                text = "upload buffer overflow - handler not draining fast enough"
                return LiveError("FLOW_BACKPRESSURE", text)
            return None
        if upload.total > capacity.get("UPLOAD_PENDING_MAX_SIZE"):
            capacity.record("UPLOAD_PENDING_MAX_SIZE", "reject", size=upload.total)
            return LiveError("PAYLOAD_TOO_LARGE", "upload exceeds limit during start")
        if waiting >= capacity.get("UPLOAD_PENDING_MAX_CHUNKS"):
            capacity.record("UPLOAD_PENDING_MAX_CHUNKS", "reject")
            return LiveError("FLOW_BACKPRESSURE", "too many chunks queued during upload start")
        if self.pending_bytes + len(payload) > capacity.get("UPLOAD_PENDING_MAX_AGGREGATE"):
            capacity.record("UPLOAD_PENDING_MAX_AGGREGATE", "reject")
            return LiveError("OVERLOADED", AGGREGATE_TEXT)
        return None

    def _chunk_limit(self, upload: UploadState) -> int:
        return (
            capacity.get("UPLOAD_PENDING_MAX_CHUNKS")
            if upload.options is None
            else upload.options.chunk_limit
        )

    # ------------------------------------------------------------ a slow handler

    def _may_overrun(self, upload: UploadState, options: UploadOptions) -> bool:
        """Return whether a piece is taken although too many wait: it was on its way when reading stopped."""
        return (
            self._max_pause > 0
            and not upload.is_impatient
            and len(upload.stream) < options.chunk_limit + OVERRUN_CHUNKS
            and upload.stream.waiting_bytes <= options.chunk_limit * self._max_payload + OVERRUN_BYTES
        )

    def _is_behind(self, upload: UploadState) -> bool:
        """Return whether the sender should wait: too many pieces wait, or more than the upload's part of memory."""
        if len(upload.stream) >= self._chunk_limit(upload):
            return True
        memory = capacity.get("UPLOAD_PENDING_MAX_AGGREGATE")
        if upload.options is None and self.pending_bytes >= memory // 2:
            return True  # what is left is for the first chunks of others
        return upload.stream.waiting_bytes >= min(READ_AHEAD_BYTES, memory // max(self.running, 1))

    def _hold_if_behind(self, upload: UploadState) -> None:
        """Stop reading from the connection while too much waits, for as long as that may take."""
        if upload.is_complete or not self._is_behind(upload):
            return
        if upload.is_held or upload.is_impatient or not self._max_pause:
            return
        upload.is_held = True
        upload.timer = self._clock.call_later(self._max_pause, lambda: self._waited_enough(upload))
        peer = self._peers[upload.connection]
        peer.holds += 1
        if peer.holds == 1:
            upload.connection.pause_reading()

    def _make_room(self, upload: UploadState) -> None:
        upload.is_impatient = False
        if upload.is_held and not self._is_behind(upload):
            self._release(upload)

    def _waited_enough(self, upload: UploadState) -> None:
        upload.is_impatient = True
        self._release(upload)

    def _release(self, upload: UploadState) -> None:
        if not upload.is_held:
            return
        upload.is_held = False
        if upload.timer is not None:
            upload.timer.cancel()
            upload.timer = None
        peer = self._peers[upload.connection]
        peer.holds -= 1
        if not peer.holds:
            upload.connection.resume_reading()

    # ------------------------------------------------------------ the handler

    async def _run(self, upload: UploadState, slots: CallSlots) -> None:
        generation = self._generation()
        generation.enter()
        try:
            inner = await self._handle(upload, generation.registry)
            if self._turn.has_events:
                await self._turn.flush_stored()
            self._settle(upload, inner, None)
        except BaseException as error:
            try:
                reraise_own_cancellation()
            except BaseException:
                self._fail(upload, LiveError("DISCONNECTED", "connection closed"), answer=False)
                raise
            await self._raised(upload, error, generation)
        finally:
            slots.give_back()
            generation.exit()

    async def _handle(self, upload: UploadState, registry: Registry) -> bytes:
        """Run the handler to its reply."""
        if upload.is_settled:
            raise upload.signal.reason
        endpoint, options = self._resolve(upload, registry)
        self._leave_pending(upload)
        upload.endpoint, upload.options = endpoint, options
        self._peers[upload.connection].running += 1
        self.running += 1
        if upload.total > options.size_limit:
            raise LiveError("PAYLOAD_TOO_LARGE", "upload exceeds maxSize")
        self._make_room(upload)
        self._hold_if_behind(upload)
        connection, id = upload.connection, binary.upload_event(upload.stream_id)
        ctx = upload.ctx = UploadCtx(
            self._scope,
            connection,
            signal=upload.signal,
            stream=upload.stream,
            id=id,
            user=connection.user,
            request_id=connection.request_id,
        )
        frame = CallFrame(endpoint.path, id, upload.header.args, is_binary=True)
        work = self._pipeline.run(registry, endpoint, ctx, connection, frame)
        tracing = self._dispatcher.tracing
        if tracing is not None and tracing.is_active(self._clock.monotonic()):
            work = tracing.around(work, endpoint.path, "upload", connection.request_id)
        result = await work
        return rpc.without_id("", rpc.encode_ok("", jsoncodec.encode(result)))

    def _resolve(self, upload: UploadState, registry: Registry) -> tuple[Endpoint, UploadOptions]:
        path = upload.header.path
        if not path:
            raise LiveError("INVALID_REQUEST", "missing rpc path")
        endpoint = registry.find(path)
        if endpoint is None:
            if not names.is_rpc_path(path):
                raise LiveError("INVALID_REQUEST", "Invalid path")
            raise LiveError("NOT_FOUND", "Not found")
        if endpoint.kind != "upload" or endpoint.upload is None:
            raise LiveError("INVALID_REQUEST", "Not an upload endpoint")
        options = endpoint.upload
        if self._peers[upload.connection].running >= options.session_limit:
            capacity.record("UPLOAD_MAX_CONCURRENT_PER_SESSION", "reject")
            raise LiveError("TOO_MANY_UPLOADS", "too many concurrent uploads on this session")
        if self.running >= options.total_limit:
            capacity.record("UPLOAD_MAX_CONCURRENT_TOTAL", "reject", limit=options.total_limit)
            raise LiveError("TOO_MANY_UPLOADS", "too many concurrent uploads")
        return endpoint, options

    def _check_again(self, upload: UploadState) -> None:
        """Ask the guard again once enough has come since it was asked. Spec: live-api 7.2 step 6."""
        endpoint, ctx = upload.endpoint, upload.ctx
        every = None if upload.options is None else upload.options.reauth_every
        if endpoint is None or endpoint.guard is None or ctx is None or every is None:
            return
        if upload.unchecked < every or upload.is_checking or upload.is_settled:
            return
        upload.unchecked = 0
        upload.is_checking = True
        self._tasks.start(self._ask_guard(upload, endpoint.guard, ctx), name="upload guard")

    async def _ask_guard(self, upload: UploadState, guard: Callable[[Any], Any], ctx: UploadCtx) -> None:
        ctx.user = upload.connection.user
        failed = LiveError("UNAUTHENTICATED", "reauth failed")
        try:
            await run_guard(guard, ctx, foreign=failed)
        except BaseException as error:
            reraise_own_cancellation()
            self._fail(upload, error if isinstance(error, LiveError) else failed)
        finally:
            upload.is_checking = False
        self._check_again(upload)

    # ------------------------------------------------------------ the end

    async def _raised(self, upload: UploadState, error: BaseException, generation: Generation) -> None:
        """Answer an upload whose handler, or what stands before it, raised."""
        path = upload.endpoint.path if upload.endpoint is not None else UNKNOWN_PATH
        if error is upload.signal.reason:
            return  # the abort itself, which was answered
        if upload.is_settled:
            self._metrics.add("rpc_errors_total", path, self._dispatcher.wire_error(error).code)
            return
        if not isinstance(error, LiveError):
            await self._dispatcher.unexpected(generation, path, error, upload.ctx)
        self._fail(upload, error)

    def _fail(self, upload: UploadState, error: BaseException, *, answer: bool = True) -> None:
        """Abort an upload: the signal fires, reads raise, and the client is answered if it is still there."""
        if not upload.is_settled:
            code = self._dispatcher.wire_error(error).code
            self._metrics.add("upload_aborts_total", code)
            self._settle(upload, self._inner(error) if answer else None, error)

    def _settle(self, upload: UploadState, inner: bytes | None, error: BaseException | None) -> None:
        """Forget an upload and send its one response, `inner`."""
        if upload.is_settled:
            return
        upload.is_settled = True
        connection = upload.connection
        peer = self._peers[connection]
        del peer.uploads[upload.stream_id]
        if upload.options is not None:
            peer.running -= 1
            self.running -= 1
        self._leave_pending(upload)
        self._release(upload)
        self._metrics.add("uploads_active", amount=-1)
        if error is None:
            upload.stream.close()
        else:
            upload.signal.abort(error)
            upload.stream.abort(error)
        self._dispatcher.finished(
            connection,
            upload.endpoint,
            upload.header.path or "",
            "upload",
            None if error is None else self._dispatcher.wire_error(error).code,
            self._clock.monotonic() - upload.started,
            error,
        )
        if inner is not None:
            self._respond(connection, upload.stream_id, inner)

    def _leave_pending(self, upload: UploadState) -> None:
        size, upload.pending_bytes = upload.pending_bytes, 0
        self.pending_bytes -= size
        assert_invariant(self.pending_bytes >= 0, assertions.UPLOAD_ACCOUNTING, pending=self.pending_bytes)

    def _inner(self, error: BaseException) -> bytes:
        return rpc.without_id("", self._dispatcher.error_bytes("", self._dispatcher.wire_error(error)))

    def _respond(self, connection: Connection, stream_id: int, inner: bytes) -> None:
        if connection.closed:
            return
        peer = self._peers.get(connection)
        if peer is None:
            peer = self._peers[connection] = PeerUploads()
        cap = None if peer.is_told else self._max_payload
        peer.is_told = True
        reply = Frame(binary.encode_upload_reply(stream_id, inner, cap))
        if self._max_frame and reply.size > self._max_frame:
            reply = Frame(binary.encode_upload_reply(stream_id, self._inner(LiveError(*rpc.TOO_LARGE)), cap))
        connection.write(reply, control=True)
