// What goes out and in which order: wire 1.6, 7.3, 7.4, 8.4.
import assert from "node:assert/strict";
import test from "node:test";
import { HELLO, openStream, record, settle, start, startOpen } from "./harness.mjs";

const types = (frames) => frames.map((frame) => frame.type ?? frame.rpc ?? "batch");

test("the first frame is hello, then the topics in one subscribe-batch, even a single one", async () => {
  const world = await start();
  world.client.on("todos").subscribe(() => {});
  await settle();
  await world.socket.open();
  assert.deepEqual(world.socket.take(), [HELLO, { type: "subscribe-batch", topics: ["todos"], ref: 1 }]);
});

test("hello, resume, subscribe-batch, queue: in this order, with the id of the connection before", async () => {
  const world = await startOpen();
  world.client.on("todos").subscribe(() => {});
  world.client.on("chat").subscribe(() => {});
  await settle();
  await world.socket.event("todos", "created", { id: 1 }, 41);
  await world.socket.event("todos", "updated", { id: 1 }, 40); // never lowered
  await world.socket.event("__presence:room", "presence_diff", {}, 5);
  await world.socket.drop();
  world.client.__rpc("a/b")("queued").catch(() => {});
  world.client.connect().sendQueued({ type: "mine" });
  await world.clock.advance(3000);
  await world.socket.open({ session: "session-2" });
  const [hello, resume, subscribe, call, own] = world.socket.take();
  assert.deepEqual(hello, HELLO);
  assert.deepEqual(resume, {
    type: "resume",
    sessionId: "session-1",
    lastSeenSeqs: { todos: 41, "__presence:room": 5 },
  });
  assert.deepEqual([subscribe.type, subscribe.topics, subscribe.ref], ["subscribe-batch", ["todos", "chat"], 2]);
  assert.deepEqual([call.rpc, call.args, own], ["a/b", ["queued"], { type: "mine" }]);
});

test("the keys of each frame stand in the order that the server classifies by", async () => {
  const world = await startOpen();
  const texts = [];
  world.socket.send = (text) => texts.push(text);
  world.client.on("a").subscribe(() => {});
  await settle();
  world.client.__rpc("x/y").with({ idempotencyKey: "k" })(1, { z: null }).catch(() => {});
  world.client.__rpc("x/y").fireAndForget(2);
  assert.equal(texts[0], '{"type":"subscribe","topic":"a","ref":1}');
  assert.match(texts[1], /^\{"rpc":"x\/y","id":"[a-z0-9]+","args":\[1,\{"z":null\}\],"idempotencyKey":"k"\}$/);
  assert.equal(texts[2], '{"rpc":"x/y","args":[2]}');
});

test("the session id is kept in sessionStorage by the path of the socket, and overwritten by each welcome", async () => {
  const world = await startOpen({ options: { url: "wss://app.test/prefix/ws" } });
  assert.deepEqual([...world.storage.items], [["svelte-adapter-uws.session./prefix/ws", "session-1"]]);
  await world.socket.receive({ type: "welcome", sessionId: "session-9" });
  assert.equal(world.storage.getItem("svelte-adapter-uws.session./prefix/ws"), "session-9");
});

test("no resume without a number seen, nor without storage", async () => {
  const world = await startOpen();
  await world.socket.drop();
  await world.clock.advance(3000);
  await world.socket.open();
  assert.deepEqual(world.socket.take(), [HELLO]);

  await world.socket.event("todos", "created", {}, 3);
  globalThis.sessionStorage = undefined;
  await world.socket.drop();
  await world.clock.advance(3000);
  await world.socket.open();
  assert.deepEqual(world.socket.take(), [HELLO]);
});

test("the server's report on a resume is a store, null before", async () => {
  const world = await startOpen();
  const seen = record(world.client.resumed);
  await world.socket.receive({ type: "resumed", topics: { todos: { state: "filled", count: 2 } } });
  await world.socket.receive({ type: "resumed" });
  assert.deepEqual([...seen], [null, { todos: { state: "filled", count: 2 } }, {}]);
});

test("subscriptions of one microtask are one frame: subscribe for one topic, subscribe-batch for more", async () => {
  const world = await startOpen();
  world.client.on("a").subscribe(() => {});
  await settle();
  world.client.on("b").subscribe(() => {});
  world.client.on("c").subscribe(() => {});
  await settle();
  assert.deepEqual(world.socket.take(), [
    { type: "subscribe", topic: "a", ref: 1 },
    { type: "subscribe-batch", topics: ["b", "c"], ref: 2 },
  ]);
});

test("topics are counted: the wire sees the first and the last listener only", async () => {
  const world = await startOpen();
  const first = world.client.on("a").subscribe(() => {});
  const second = world.client.on("a").subscribe(() => {});
  await settle();
  first();
  first();
  await settle();
  assert.deepEqual(types(world.socket.take()), ["subscribe"]);
  second();
  assert.deepEqual(world.socket.sent, [], "not before the microtask after");
  await settle();
  assert.deepEqual(world.socket.take(), [{ type: "unsubscribe", topic: "a" }]);
});

test("a topic that is left and taken up in one microtask is not mentioned", async () => {
  const world = await startOpen();
  const off = world.client.on("a").subscribe(() => {});
  await settle();
  world.socket.take();
  off();
  world.client.on("a").subscribe(() => {});
  world.client.on("b").subscribe(() => {})();
  await settle();
  assert.deepEqual(world.socket.take(), []);
});

test("topics that came and went without a connection are not mentioned to the next one", async () => {
  const world = await startOpen();
  const kept = world.client.on("kept").subscribe(() => {});
  await settle();
  await world.socket.drop();
  for (let i = 0; i < 5; i++) world.client.on(`gone${i}`).subscribe(() => {})();
  world.client.on("new").subscribe(() => {});
  await world.clock.advance(3000);
  await world.socket.open();
  await settle();
  assert.deepEqual(world.socket.take(), [HELLO, { type: "subscribe-batch", topics: ["kept", "new"], ref: 2 }]);
  kept();
  await settle();
  assert.deepEqual(world.socket.take(), [{ type: "unsubscribe", topic: "kept" }]);
});

test("system topics are listened to and never named", async () => {
  const world = await startOpen();
  const seen = record(world.client.on("__presence:room"));
  await settle();
  await world.socket.event("__presence:room", "presence_state", { a: 1 }, 1);
  seen.off();
  await settle();
  assert.deepEqual(world.socket.take(), []);
  assert.deepEqual(seen.last, { topic: "__presence:room", event: "presence_state", data: { a: 1 } });
});

test("long lists of topics are cut at 200", async () => {
  const world = await start();
  for (let i = 0; i < 450; i++) world.client.on(`t${i}`).subscribe(() => {});
  await settle();
  await world.socket.open();
  const frames = world.socket.take().slice(1);
  assert.deepEqual(frames.map((frame) => frame.topics.length), [200, 200, 50]);
  assert.deepEqual(frames.map((frame) => frame.ref), [1, 2, 3]);
  assert.deepEqual(frames.flatMap((frame) => frame.topics), Array.from({ length: 450 }, (_, i) => `t${i}`));
});

test("long names are cut at 8000 bytes, counted in UTF-8", async () => {
  const world = await start();
  for (let i = 0; i < 60; i++) world.client.on(`${i}${"é€😀".repeat(28)}`).subscribe(() => {});
  await settle();
  const texts = [];
  world.socket.send = (text) => texts.push(text);
  await world.socket.open();
  const sizes = texts.slice(1).map((text) => Buffer.byteLength(text));
  assert.equal(sizes.length, 2);
  assert.ok(sizes.every((size) => size <= 8000), String(sizes));
  assert.ok(sizes[0] > 7600, String(sizes));
});

test("stream requests of one microtask travel as one batch, a single one alone, 50 at most", async () => {
  const world = await startOpen();
  const { __stream } = world.client;
  __stream("a/one", {}, false).subscribe(() => {});
  await settle();
  assert.deepEqual(types(world.socket.take()), ["a/one"]);
  for (let i = 0; i < 60; i++) __stream(`b/s${i}`, {}, false).subscribe(() => {});
  await settle();
  assert.deepEqual(world.socket.take().map((frame) => frame.batch.length), [50, 10]);
});

test("replies in one batch make their streams subscribe in one frame", async () => {
  const world = await startOpen();
  world.client.__stream("a/x", {}, false).subscribe(() => {});
  world.client.__stream("a/y", {}, false).subscribe(() => {});
  await settle();
  const [{ batch }] = world.socket.take();
  assert.deepEqual(batch.map(({ rpc, args, stream }) => ({ rpc, args, stream })), [
    { rpc: "a/x", args: [], stream: true },
    { rpc: "a/y", args: [], stream: true },
  ]);
  const results = batch.map(({ id, rpc }) => ({ id, ok: true, data: [], topic: rpc, merge: "crud", key: "id" }));
  await world.socket.event("__rpc", "__batch", { batch: results });
  assert.deepEqual(world.socket.take(), [{ type: "subscribe-batch", topics: ["a/x", "a/y"], ref: 1 }]);
});

test("after a reconnect a stream sends unsubscribe and right behind it its request", async () => {
  const world = await startOpen();
  await openStream(world);
  assert.deepEqual(world.socket.take().slice(1), [{ type: "subscribe", topic: "todos", ref: 1 }]);
  await world.socket.drop();
  await world.clock.advance(3000);
  await world.socket.open();
  assert.deepEqual(world.socket.take(), [HELLO, { type: "subscribe-batch", topics: ["todos"], ref: 2 }]);
  await world.clock.advance(60);
  const [leave, ask] = world.socket.take();
  assert.deepEqual(leave, { type: "unsubscribe", topic: "todos" });
  assert.deepEqual([ask.rpc, ask.stream], ["todos/list", true]);
});

test("a batch frame of events gives each to its topic", async () => {
  const world = await startOpen();
  const a = record(world.client.on("a"));
  const b = record(world.client.on("b"));
  await world.socket.receive({
    type: "batch",
    events: [
      { topic: "a", event: "x", data: 1, seq: 3 },
      { topic: 5, event: "x", data: 2 },
      { topic: "b", data: 3 },
      { topic: "b", event: "y", data: 4, seq: 9 },
      { topic: "b", event: "z", data: 5, seq: 10 },
    ],
  });
  assert.deepEqual([...a], [null, { topic: "a", event: "x", data: 1 }]);
  assert.deepEqual(b.map((value) => value?.data), [undefined, 4, 5]);
});

test("denials are a store and become the error of the topic's streams", async () => {
  const world = await startOpen();
  const { stream, seen } = await openStream(world, { data: [{ id: 1 }] });
  await world.socket.receive({ type: "subscribe-denied", topic: "todos", ref: 1, reason: "QUOTA" });
  assert.deepEqual(world.client.denials.get(), { topic: "todos", reason: "QUOTA", ref: 1 });
  assert.equal(stream.error.get().code, "QUOTA");
  assert.equal(stream.status.get(), "error");
  assert.deepEqual(seen.last, [{ id: 1 }]);
  await world.socket.event("todos", "created", { id: 2 });
  assert.equal(seen.last.length, 2, "live events still apply");
  await world.socket.receive({ type: "subscribe-denied", topic: "todos", ref: 1, reason: "" });
  assert.equal(stream.error.get().code, "FORBIDDEN");
});

test("health follows the server, from the first reading on", async () => {
  const world = await start();
  const seen = record(world.client.health);
  await world.socket.open();
  await world.socket.event("__realtime", "degraded", { at: 1 });
  await world.socket.event("__realtime", "recovered", { at: 2 });
  assert.deepEqual([...seen], ["healthy", "degraded", "healthy"]);
  await world.socket.event("__realtime", "degraded", { at: 3 });
  await world.socket.drop();
  await world.clock.advance(3000);
  await world.socket.open();
  assert.equal(seen.last, "healthy", "another connection, perhaps to another server");
});

test("send drops while there is no connection, sendQueued keeps", async () => {
  const world = await start();
  const connection = world.client.connect();
  assert.equal(connection.send({ type: "lost" }), false);
  connection.sendQueued({ type: "kept" });
  const takeBack = connection.sendQueued({ type: "taken back" });
  takeBack();
  await world.socket.open();
  assert.deepEqual(types(world.socket.take()), ["hello", "kept"]);
  assert.equal(connection.send('{"type":"text"}'), true);
  assert.deepEqual(world.socket.take(), [{ type: "text" }]);
});

// ---------------------------------------------------------------- requests of the server

test("a request is answered once, with data or an error; the newest handler counts", async () => {
  const world = await startOpen();
  const { onPush } = world.client;
  const offOld = onPush("ask", () => "old");
  const offNew = onPush("ask", async ({ q }) => q * 7);
  onPush("quiet", () => undefined);
  onPush("bad", () => {
    throw new Error("handler said no");
  });
  offOld(); // not the one any more: takes nothing away
  const ask = (ref, event, data = null) => world.socket.receive({ type: "request", ref, event, data });
  await ask(17, "ask", { q: 6 });
  await ask("r", "quiet");
  await ask(18, "bad");
  await ask(19, "unknown");
  offNew();
  await ask(20, "ask");
  await ask(null, "ask");
  assert.deepEqual(world.socket.take(), [
    { type: "reply", ref: 17, data: 42 },
    { type: "reply", ref: "r", data: null },
    { type: "reply", ref: 18, error: "handler said no" },
    { type: "reply", ref: 19, error: "[svelte-realtime] no push handler registered for event 'unknown'" },
    { type: "reply", ref: 20, error: "[svelte-realtime] no push handler registered for event 'ask'" },
  ]);
});

test("an answer that comes after the connection changed is not sent", async () => {
  const world = await startOpen();
  let answer;
  world.client.onPush("slow", () => new Promise((resolve) => (answer = resolve)));
  await world.socket.receive({ type: "request", ref: 1, event: "slow", data: null });
  await world.socket.drop();
  await world.clock.advance(3000);
  await world.socket.open();
  world.socket.take();
  answer("late");
  await settle();
  assert.deepEqual(world.socket.take(), []);
});

test("bad push and signal handlers are errors", async () => {
  const { client } = await start();
  assert.throws(() => client.onPush("", () => {}), TypeError);
  assert.throws(() => client.onPush("a"), TypeError);
  assert.throws(() => client.onSignal(() => {}), TypeError);
  assert.throws(() => client.onSignal("u1"), TypeError);
  assert.throws(() => client.onSignal('u"1', () => {}), TypeError);
});

test("signals reach the listener of the user with event and data", async () => {
  const world = await startOpen();
  const seen = [];
  const off = world.client.onSignal("u1", (event, data) => seen.push([event, data]));
  await world.socket.event("__signal:u1", "notice", { n: 1 }, 1);
  await world.socket.event("__signal:u2", "notice", { n: 2 }, 1);
  off();
  await world.socket.event("__signal:u1", "notice", { n: 3 }, 2);
  assert.deepEqual(seen, [["notice", { n: 1 }]]);
  assert.deepEqual(world.socket.take(), []);
});
