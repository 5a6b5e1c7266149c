// Loading, renewing and leaving streams: wire 5.2, 5.4, 5.10, 5.11, 7.5, live 24.1, 24.2, 24.4.
import assert from "node:assert/strict";
import test from "node:test";
import { consoleOf, openStream, outcome, record, settle, start, startOpen } from "./harness.mjs";

const item = (id, text = `t${id}`) => ({ id, text });

/** The fields of the newest stream request that say where the client is. */
function position(world, path = "todos/list") {
  const { rpc, id, args, stream, ...rest } = world.socket.request(path);
  assert.deepEqual([rpc, stream], [path, true]);
  return rest;
}

async function reconnect(world) {
  await world.socket.drop();
  await world.clock.advance(3000);
  await world.socket.open();
  await world.clock.advance(99);
}

test("a value is undefined while loading, then the data", async () => {
  const world = await startOpen();
  const { stream, seen } = await openStream(world, { data: [item(1)] });
  assert.deepEqual([...seen], [undefined, [item(1)]]);
  assert.deepEqual(stream.get(), [item(1)]);
  assert.equal(stream.status.get(), "connected");
});

test("nothing is asked for before the first subscriber", async () => {
  const world = await start();
  world.client.__stream("todos/list", {}, false);
  await settle();
  assert.equal(world.sockets.length, 0);
});

test("a dynamic stream sends its arguments; equal arguments give the same store", async () => {
  const world = await startOpen();
  const messages = world.client.__stream("chat/messages", {}, true);
  assert.equal(messages("room", { a: 1 }), messages("room", { a: 1 }));
  assert.notEqual(messages("room"), messages("hall"));
  messages("room", { a: 1 }).subscribe(() => {});
  await settle();
  assert.deepEqual(world.socket.request("chat/messages").args, ["room", { a: 1 }]);
});

test("1000 stores are kept by their arguments, unused ones go first; then 1000 more", async () => {
  const world = await start();
  const messages = world.client.__stream("chat/messages", {}, true);
  const used = messages("used");
  used.subscribe(() => {});
  const first = messages(0);
  for (let i = 1; i < 1000; i++) messages(i);
  assert.notEqual(messages(0), first);
  assert.equal(messages("used"), used);
  for (let i = 0; i < 999; i++) messages(`busy${i}`).subscribe(() => {});
  const extra = messages("extra");
  assert.equal(messages("extra"), extra);
  for (let i = 0; i < 999; i++) messages(`more${i}`);
  assert.equal(messages("extra"), extra);
  messages("one more");
  assert.notEqual(messages("extra"), extra);
});

test("the reply's rules win over the stub's", async () => {
  const world = await startOpen();
  const stream = world.client.__stream("a/b", { merge: "crud", key: "id" }, false);
  const seen = record(stream);
  await settle();
  await world.socket.reply("a/b", 1, { topic: "t", merge: "set" });
  await world.socket.event("t", "created", 2);
  assert.deepEqual([...seen], [undefined, 1, 2]);
});

test("a gated stream is null and has no topic", async () => {
  const world = await startOpen();
  const seen = record(world.client.__stream("a/b", {}, false));
  await settle();
  await world.socket.reply("a/b", null, { gated: true });
  assert.deepEqual([...seen], [undefined, null]);
  assert.deepEqual(world.socket.take().map((frame) => frame.rpc), ["a/b"]);
});

test("a failed load sets the error and keeps the value; the next success clears it", async () => {
  const world = await startOpen();
  const { stream, seen } = await openStream(world, { data: [item(1)] });
  await reconnect(world);
  await world.socket.answer(world.socket.request("todos/list").id, { ok: false, code: "FORBIDDEN", error: "Access denied" });
  assert.deepEqual([stream.status.get(), stream.error.get().code, stream.error.get().message], ["error", "FORBIDDEN", "Access denied"]);
  assert.deepEqual(seen.last, [item(1)]);
  await reconnect(world);
  assert.equal(stream.status.get(), "reconnecting");
  await world.socket.reply("todos/list", [item(2)], { topic: "todos", merge: "crud", key: "id" });
  assert.deepEqual([stream.status.get(), stream.error.get(), seen.last], ["connected", null, [item(2)]]);
});

test("no reply in 30 s is the error TIMEOUT", async () => {
  const world = await startOpen();
  const stream = world.client.__stream("a/b", {}, false);
  stream.subscribe(() => {});
  await world.clock.advance(30_000);
  assert.deepEqual([stream.status.get(), stream.error.get().code], ["error", "TIMEOUT"]);
});

test("a connection lost while loading is DISCONNECTED, and the stream asks again, once", async () => {
  const world = await start();
  const stream = world.client.__stream("a/b", {}, false);
  stream.subscribe(() => {});
  await settle();
  await world.socket.drop();
  assert.deepEqual([stream.status.get(), stream.error.get().code], ["error", "DISCONNECTED"]);
  await world.clock.advance(3000);
  await world.socket.open();
  assert.equal(stream.status.get(), "reconnecting");
  await world.clock.advance(99);
  assert.equal(world.socket.requests.length, 1);
});

test("a reconnect keeps the value, is reconnecting, and asks after 20 to 99 ms", async () => {
  for (const [random, wait] of [[0, 20], [0.999999, 99]]) {
    const world = await startOpen({ random });
    const { stream, seen } = await openStream(world, { data: [item(1)] });
    await world.socket.drop();
    assert.equal(stream.status.get(), "connected");
    await world.clock.advance(world.clock.waits[0]);
    await world.socket.open();
    assert.equal(stream.status.get(), "reconnecting");
    world.socket.take();
    await world.clock.advance(wait - 1);
    assert.deepEqual(world.socket.sent, []);
    await world.clock.advance(1);
    assert.equal(world.socket.requests.length, 1);
    await world.socket.reply("todos/list", [item(1), item(2)], { topic: "todos", merge: "crud", key: "id" });
    assert.deepEqual([...seen], [undefined, [item(1)], [item(1), item(2)]], "no empty value in between");
  }
});

test("the wait before a stream asks grows from the third time on, until a reply", async () => {
  const world = await startOpen();
  await openStream(world);
  const waits = [];
  for (let i = 0; i < 5; i++) {
    await world.socket.drop();
    await world.clock.advance(world.clock.waits[0]);
    await world.socket.open();
    waits.push(world.clock.waits[0]);
  }
  assert.deepEqual(waits.map(Math.round), [60, 60, 1000, 2200, 4840]);
  await world.clock.advance(5000);
  await world.socket.reply("todos/list", [], { topic: "todos", merge: "crud", key: "id" });
  await world.socket.drop();
  await world.clock.advance(world.clock.waits[0]);
  await world.socket.open();
  assert.equal(world.clock.waits[0], 60);
});

// ---------------------------------------------------------------- catching up

test("seq, version and schemaVersion of the reply go back with the next request", async () => {
  const world = await startOpen();
  await openStream(world, { seq: 40, version: "v9", schemaVersion: 2 });
  assert.deepEqual(position(world), {});
  await world.socket.event("todos", "created", item(1), 41); // live numbers do not count
  await reconnect(world);
  assert.deepEqual(position(world), { seq: 40, version: "v9", schemaVersion: 2 });
});

test("replay: the missed events are applied, and the number goes on", async () => {
  const world = await startOpen();
  const { seen } = await openStream(world, { data: [item(1)], seq: 40 });
  await reconnect(world);
  const missed = [
    { seq: 41, topic: "todos", event: "created", data: item(2) },
    { seq: 42, topic: "todos", event: "deleted", data: item(1) },
  ];
  await world.socket.reply("todos/list", missed, { topic: "todos", merge: "crud", key: "id", seq: 42, replay: true });
  assert.deepEqual(seen.last, [item(2)]);
  await reconnect(world);
  assert.equal(position(world).seq, 42);
  await world.socket.reply("todos/list", [{ ...missed[0], seq: 43 }], { topic: "todos", merge: "crud", key: "id", replay: true });
  await reconnect(world);
  assert.equal(position(world).seq, 43, "without a number of its own the last event's counts");
});

test("replay: false is a full load", async () => {
  const world = await startOpen();
  const { seen } = await openStream(world, { data: [item(1)], seq: 40 });
  await reconnect(world);
  await world.socket.reply("todos/list", [item(7)], { topic: "todos", merge: "crud", key: "id", seq: 50, replay: false });
  assert.deepEqual(seen.last, [item(7)]);
});

test("unchanged keeps the value, delta changes some of it", async () => {
  const world = await startOpen();
  const { seen } = await openStream(world, { data: [item(1), item(2)], version: 1, hasMore: true, cursor: 2 });
  await reconnect(world);
  await world.socket.reply("todos/list", [], { topic: "todos", merge: "crud", key: "id", unchanged: true, version: 1 });
  assert.deepEqual(seen.last, [item(1), item(2)]);
  await reconnect(world);
  const items = [{ id: 1, _deleted: true }, item(2, "new"), item(3)];
  await world.socket.reply("todos/list", items, { topic: "todos", merge: "crud", key: "id", delta: true, version: 2 });
  assert.deepEqual(seen.last, [item(2, "new"), item(3)]);
  await reconnect(world);
  assert.equal(position(world).version, 2);
});

for (const kind of ["channel", "derived"]) {
  test(`a ${kind} keeps the value it has`, async () => {
    const world = await startOpen();
    const { seen } = await openStream(world, { merge: "set", data: null, [kind]: true });
    await world.socket.event("todos", "set", 5);
    await reconnect(world);
    await world.socket.reply("todos/list", 0, { topic: "todos", merge: "set", [kind]: true });
    assert.equal(seen.last, 5);
  });
}

test("an end marker is not merged; a truncated one makes the stream ask anew without its number", async () => {
  const world = await startOpen();
  const { stream, seen } = await openStream(world, { data: [item(1)], seq: 40 });
  await world.socket.event("todos", "end", { reqId: 1 });
  assert.equal(stream.status.get(), "connected");
  await world.socket.event("todos", "end", { reqId: 1, truncated: true });
  assert.equal(stream.status.get(), "reconnecting");
  assert.deepEqual(position(world), {});
  assert.deepEqual(seen.last, [item(1)]);
});

test("events between request and reply are applied after it, if another store is on the topic", async () => {
  const world = await startOpen();
  await openStream(world, { data: [item(1)] });
  const other = world.client.__stream("todos/open", {}, false);
  const seen = record(other);
  await settle();
  await world.socket.event("todos", "created", item(2));
  await world.socket.event("other", "created", item(9));
  await world.socket.reply("todos/open", [item(1)], { topic: "todos", merge: "crud", key: "id" });
  assert.deepEqual([...seen], [undefined, [item(1), item(2)]]);
});

test("such events do not appear twice in latest", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { merge: "latest", data: [] });
  const other = record(world.client.__stream("todos/log", {}, false));
  await settle();
  await world.socket.event("todos", "created", { n: 1 });
  await world.socket.event("todos", "created", { n: 2 });
  await world.socket.reply("todos/log", [{ n: 1 }], { topic: "todos", merge: "latest" });
  assert.deepEqual(other.last, [{ n: 1 }, { n: 2 }]);
  assert.deepEqual(stream.get(), [{ n: 1 }, { n: 2 }]);
});

// ---------------------------------------------------------------- reload of live modules (dev)

test("a reload asks for the named streams anew, in full, with the value kept", async () => {
  const world = await startOpen();
  const { stream, seen } = await openStream(world, { data: [item(1)], seq: 40, version: 3 });
  await openStream(world, { path: "chat/log", topic: "chat" });
  world.socket.take();
  await world.socket.event("__realtime", "reload", { modules: ["todos"], resubscribe: ["todos/list"] });
  assert.equal(stream.status.get(), "reconnecting");
  const [leave, ask, ...others] = world.socket.sent;
  assert.deepEqual([leave, others], [{ type: "unsubscribe", topic: "todos" }, []]);
  assert.deepEqual(Object.keys(ask), ["rpc", "id", "args", "stream"]);
  await world.socket.reply("todos/list", [item(5)], { topic: "todos:v2", merge: "crud", key: "id" });
  assert.deepEqual([...seen], [undefined, [item(1)], [item(5)]]);
  assert.deepEqual(world.socket.sent[2], { type: "subscribe", topic: "todos:v2", ref: 3 });
});

test("a reload asks anew for streams of its modules that had failed, and for no others", async () => {
  const world = await startOpen();
  const paths = ["todos/list", "todos/count", "todosmore/list"];
  const [broken, , other] = paths.map((path) => world.client.__stream(path, {}, false));
  const count = await openStream(world, { path: "todos/count", merge: "set", data: 1 });
  for (const stream of [broken, other]) stream.subscribe(() => {});
  await settle();
  for (const path of [paths[0], paths[2]]) {
    await world.socket.answer(world.socket.request(path).id, { ok: false, code: "INTERNAL_ERROR", error: "no" });
  }
  world.socket.take();
  await world.socket.event("__realtime", "reload", { modules: ["todos"], resubscribe: [] });
  assert.deepEqual(world.socket.requests.map((request) => request.rpc), ["todos/list"]);
  assert.deepEqual([broken.status.get(), other.status.get(), count.stream.status.get()], ["reconnecting", "error", "connected"]);
});

test("a derived stream whose code was reloaded takes the new value", async () => {
  const world = await startOpen();
  const { seen } = await openStream(world, { merge: "set", data: 1, derived: true });
  await world.socket.event("__realtime", "reload", { resubscribe: ["todos/list"] });
  await world.socket.reply("todos/list", 2, { topic: "todos", merge: "set", derived: true });
  assert.equal(seen.last, 2);
});

// ---------------------------------------------------------------- leaving

test("the last subscriber's leaving is told in the microtask after; coming back before keeps everything", async () => {
  const world = await startOpen();
  const { stream, seen } = await openStream(world, { data: [item(1)] });
  world.socket.take();
  seen.off();
  seen.off();
  const again = record(stream);
  await settle();
  assert.deepEqual(world.socket.take(), []);
  again.off();
  await settle();
  assert.deepEqual(world.socket.take(), [{ type: "unsubscribe", topic: "todos" }]);
});

test("within the grace a new subscriber sees the old value at once and resumes by number", async () => {
  const world = await startOpen();
  const { stream, seen } = await openStream(world, { data: [item(1)], seq: 40 });
  seen.off();
  await world.clock.advance(59_999);
  const again = record(stream);
  await settle();
  assert.deepEqual([...again], [[item(1)]]);
  assert.equal(position(world).seq, 40);
  await world.clock.advance(120_000);
  assert.deepEqual(stream.get(), [item(1)]);
});

test("after the grace everything is forgotten", async () => {
  const world = await startOpen();
  const { stream, seen } = await openStream(world, { data: [item(1)], seq: 40 });
  seen.off();
  await settle();
  await world.clock.advance(60_000);
  assert.equal(stream.get(), undefined);
  const again = record(stream);
  await settle();
  assert.deepEqual([[...again], position(world)], [[undefined], {}]);
});

test("a grace of 0 forgets at once", async () => {
  const world = await startOpen({ options: { resumeGraceMs: 0 } });
  const { stream, seen } = await openStream(world, { data: [item(1)] });
  seen.off();
  await settle();
  assert.equal(stream.get(), undefined);
});

test("leaving before the reply says nothing until that comes, and ignores it", async () => {
  const world = await startOpen();
  const stream = world.client.__stream("a/b", {}, false);
  const seen = record(stream);
  await settle();
  seen.off();
  await settle();
  assert.deepEqual(world.socket.sent.map((frame) => frame.type ?? frame.rpc), ["a/b"]);
  await world.socket.reply("a/b", [item(1)], { topic: "t", merge: "crud", key: "id" });
  assert.deepEqual(world.socket.take().slice(1), [{ type: "unsubscribe", topic: "t" }]);
  assert.equal(stream.get(), undefined);
});

test("a request that waits for the connection is taken back when nobody wants it any more", async () => {
  const world = await start();
  const seen = record(world.client.__stream("a/b", {}, false));
  await settle();
  seen.off();
  await settle();
  await world.socket.open();
  assert.deepEqual(world.socket.requests, []);
});

test("quiescent is false while a subscribed stream loads or reconnects", async () => {
  const world = await startOpen();
  const seen = record(world.client.quiescent);
  const { seen: values } = await openStream(world);
  world.client.__stream("a/b", {}, false).subscribe(() => {});
  await settle();
  await world.socket.answer(world.socket.request("a/b").id, { ok: false, code: "X", error: "x" });
  assert.deepEqual([...seen], [true, false, true, false, true]);
  await world.socket.drop();
  await world.clock.advance(3000);
  await world.socket.open();
  assert.equal(seen.last, false);
  values.off();
  await settle();
  assert.equal(seen.last, false, "the other one still reconnects");
  await world.clock.advance(99);
  await world.socket.reply("a/b", 1, { topic: "b", merge: "set" });
  assert.equal(seen.last, true);
});

// ---------------------------------------------------------------- hydrate, paging

test("hydrate sets the value now; it is loaded all the same", async () => {
  const world = await startOpen();
  const stream = world.client.__stream("a/b", { merge: "crud", key: "id" }, false);
  const given = [item(1)];
  assert.equal(stream.hydrate(given), stream);
  const seen = record(stream);
  await settle();
  await world.socket.reply("a/b", [item(1), item(2)], { topic: "t", merge: "crud", key: "id" });
  await world.socket.event("t", "created", item(3));
  assert.deepEqual(seen.map((list) => list.length), [1, 2, 3]);
  assert.equal(given.length, 1);
});

test("hydrating a list stream with something else warns under the dev server", async () => {
  const world = await start({ dev: true });
  const lines = await consoleOf(() => void world.client.__stream("a/b", { merge: "crud" }, false).hydrate({ a: 1 }));
  assert.match(lines[0], /a\/b\.hydrate.*list/);
});

const PAGE = { topic: "log", merge: "crud", key: "id" };

test("loadMore appends the next page with the cursor of the last, and says whether there is more", async () => {
  const world = await startOpen();
  const { stream, seen } = await openStream(world, { path: "log/lines", topic: "log", data: [item(9)], hasMore: true, cursor: 9 });
  assert.equal(stream.hasMore, true);
  const more = stream.loadMore("extra");
  assert.equal(await stream.loadMore(), false, "one page at a time");
  await settle();
  const { cursor, args, stream: isStream } = world.socket.request("log/lines");
  assert.deepEqual([cursor, args, isStream], [9, ["extra"], true]);
  await world.socket.reply("log/lines", [item(9, "again"), item(8)], { ...PAGE, hasMore: true, cursor: 8 });
  assert.equal(await more, true);
  assert.deepEqual(seen.last, [item(9, "again"), item(8)]);
  const last = stream.loadMore();
  await settle();
  assert.equal(world.socket.request("log/lines").cursor, 8);
  await world.socket.reply("log/lines", [item(7)], { ...PAGE, hasMore: false });
  assert.equal(await last, false);
  assert.equal(await stream.loadMore(), false);
  assert.deepEqual(seen.last.map((entry) => entry.id), [9, 8, 7]);
  await world.socket.event("log", "updated", item(7, "new"));
  assert.deepEqual(seen.last[2], item(7, "new"));
});

test("with prepend the page goes before the list", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { data: [item(2)], hasMore: true, cursor: 2, prepend: true });
  const more = stream.loadMore();
  await settle();
  await world.socket.reply("todos/list", [item(0), item(1)], { topic: "todos", merge: "crud", key: "id", hasMore: false });
  await more;
  assert.deepEqual(stream.get().map((entry) => entry.id), [0, 1, 2]);
});

test("loadMore gives false without a cursor and while loading, and rejects with the server's code", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { hasMore: true });
  assert.equal(await stream.loadMore(), false);
  const { stream: other } = await openStream(world, { path: "a/b", hasMore: true, cursor: 1 });
  const result = outcome(other.loadMore());
  await settle();
  await world.socket.answer(world.socket.request("a/b").id, { ok: false, code: "GONE", error: "gone" });
  assert.equal(await result, "GONE");
  const lost = outcome(other.loadMore());
  await settle();
  await world.socket.drop();
  assert.equal(await lost, "DISCONNECTED");
});

test("a page that arrives after a full load is not mixed into it", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { data: [item(9)], hasMore: true, cursor: 9 });
  const more = stream.loadMore();
  await settle();
  const page = world.socket.request("todos/list").id;
  await world.socket.event("__realtime", "reload", { resubscribe: ["todos/list"] });
  await world.socket.reply("todos/list", [item(5)], { topic: "todos", merge: "crud", key: "id", hasMore: true, cursor: 5 });
  await world.socket.answer(page, { ok: true, data: [item(8)], hasMore: false });
  assert.equal(await more, true);
  assert.deepEqual(stream.get(), [item(5)]);
});
