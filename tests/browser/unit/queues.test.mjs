// Bounds of the send queue and the offline queue: wire 7.3, 7.5, live 23.5.
import assert from "node:assert/strict";
import test from "node:test";
import { consoleOf, outcome, settle, start, startOpen } from "./harness.mjs";

test("1000 frames wait at most; the oldest is dropped, counted, and its call told", async () => {
  const world = await start();
  const call = world.client.__rpc("a/b");
  const first = outcome(call("first"));
  const connection = world.client.connect();
  for (let i = 0; i < 999; i++) connection.sendQueued({ type: "n", i });
  assert.equal(world.client.getCounters().queuedFramesDropped, 0);
  connection.sendQueued({ type: "n", i: 999 });
  assert.equal(await first, "QUEUE_FULL");
  assert.equal(world.client.getCounters().queuedFramesDropped, 1);
  await world.socket.open();
  const sent = world.socket.take().slice(1);
  assert.deepEqual([sent.length, sent[0].i, sent[999].i], [1000, 0, 999]);
});

test("stream requests that the queue drops fail with QUEUE_FULL", async () => {
  const world = await start();
  const stream = world.client.__stream("a/s", {}, false);
  stream.subscribe(() => {});
  await settle();
  const connection = world.client.connect();
  for (let i = 0; i < 1000; i++) connection.sendQueued({ type: "n" });
  await settle();
  assert.equal(stream.error.get().code, "QUEUE_FULL");
});

test("frames that wait when the connection ends are dropped, and whoever asked is told", async () => {
  const world = await start();
  const connection = world.client.connect();
  const dropped = [];
  connection.sendQueued({ type: "a" }, () => dropped.push("a"));
  connection.close();
  connection.sendQueued({ type: "b" }, () => dropped.push("b"));
  assert.deepEqual(dropped, ["a", "b"]);
});

const numbered = (topic, seq) => ({ topic, event: "x", data: null, seq });

async function resumeAfter(world, events) {
  await world.socket.receive({ type: "batch", events });
  await world.socket.drop();
  await world.clock.advance(3000);
  await world.socket.open();
  return world.socket.sent.find((frame) => frame.type === "resume").lastSeenSeqs;
}

test("the numbers of 10,000 topics are remembered; the one that was silent longest is forgotten and counted", async () => {
  const world = await startOpen();
  const events = Array.from({ length: 10_000 }, (_, i) => numbered(`t${i}`, 1));
  const seen = await resumeAfter(world, [...events, numbered("t0", 2), numbered("new", 1)]);
  assert.deepEqual([seen.t0, seen.new], [2, 1]);
  assert.equal(world.client.getCounters().seenTopicsForgotten, 1);
});

test("a resume names 1000 topics at most: those in use, then those heard of last", async () => {
  const world = await startOpen();
  world.client.on("t5").subscribe(() => {});
  world.client.on("__presence:room").subscribe(() => {});
  const events = Array.from({ length: 3000 }, (_, i) => numbered(`t${i}`, i));
  const seen = await resumeAfter(world, [numbered("__presence:room", 7), ...events]);
  assert.equal(Object.keys(seen).length, 1000);
  assert.deepEqual([seen["__presence:room"], seen.t5, seen.t2999, seen.t2002], [7, 5, 2999, 2002]);
  assert.equal("t2001" in seen, false);
});

test("numbers that are none are not remembered", async () => {
  const world = await startOpen();
  const bad = [-1, 1.5, "5", null, true].map((seq, i) => numbered(`bad${i}`, seq));
  await world.socket.receive('{"topic":"inf","event":"x","seq":1e999}', '{"topic":"big","event":"x","seq":1e300}');
  const seen = await resumeAfter(world, [...bad, numbered("good", 0), numbered("__proto__", 3)]);
  assert.deepEqual(Object.entries(seen), [["__proto__", 3], ["good", 0]]);
});

test("after a close for size the next connection does without a resume, once", async () => {
  const world = await startOpen();
  await world.socket.receive(numbered("t", 1));
  await consoleOf(() => world.socket.drop(1009));
  for (const expected of [["hello"], ["hello", "resume"]]) {
    await world.clock.advance(3000);
    await world.socket.open();
    assert.deepEqual(world.socket.take().map((frame) => frame.type), expected);
    await world.socket.drop(1006);
  }
});

/** A client with an offline queue whose connection was lost. */
async function startOffline(offline = {}) {
  const world = await startOpen({ options: { offline: { queue: true, ...offline } } });
  await world.socket.drop();
  return world;
}

async function reconnect(world) {
  await world.clock.advance(world.clock.waits[0]);
  await world.socket.open();
}

test("before the first loss nothing is held", async () => {
  const world = await start({ options: { offline: { queue: true } } });
  world.client.__rpc("a/b")(1).catch(() => {});
  await world.socket.open();
  assert.deepEqual(world.socket.requests.map((frame) => frame.args), [[1]]);
});

test("calls made offline wait, and run one after the other when the connection is back", async () => {
  const world = await startOffline();
  const call = world.client.__rpc("a/b");
  const results = [call(1), call.with({ idempotencyKey: "k" })(2), call(3)];
  await world.clock.advance(1000);
  await reconnect(world);
  for (const [i, args] of [[1], [2], [3]].entries()) {
    assert.deepEqual(world.socket.requests.map((frame) => frame.args).slice(i), [args]);
    await world.socket.reply("a/b", args[0] * 10);
  }
  assert.equal(world.socket.requests[1].idempotencyKey, "k");
  assert.deepEqual(await Promise.all(results), [10, 20, 30]);
});

test("concurrent replay runs ten at a time", async () => {
  const world = await startOffline({ replay: "concurrent" });
  const call = world.client.__rpc("a/b");
  for (let i = 0; i < 15; i++) call(i).catch(() => {});
  await reconnect(world);
  assert.equal(world.socket.requests.length, 10);
  for (const { id } of world.socket.requests) await world.socket.answer(id, { ok: true, data: 1 });
  assert.equal(world.socket.requests.length, 15);
});

test("the oldest call goes when the queue is full", async () => {
  for (const [maxQueue, size] of [[undefined, 100], [2, 2]]) {
    const world = await startOffline({ maxQueue });
    const call = world.client.__rpc("a/b");
    const results = Array.from({ length: size + 1 }, (_, i) => outcome(call(i)));
    assert.equal(await results[0], "QUEUE_FULL");
    await reconnect(world);
    for (let i = 0; i < size; i++) await world.socket.reply("a/b", i);
    assert.deepEqual(await results[size], { value: size - 1 });
    assert.equal(world.socket.requests.length, size);
  }
});

test("calls that waited too long are STALE", async () => {
  const world = await startOffline({ maxAge: 2000 });
  const call = world.client.__rpc("a/b");
  const old = outcome(call("old"));
  await world.clock.advance(1500);
  call("young").catch(() => {});
  await world.clock.advance(1500);
  await world.socket.open();
  assert.equal(await old, "STALE");
  assert.deepEqual(world.socket.requests.map((frame) => frame.args), [["young"]]);
});

test("beforeReplay decides over each call, a function over all of them", async () => {
  const asked = [];
  const beforeReplay = (call) => {
    asked.push(call);
    if (call.args[0] === 2) throw new Error("mine");
    return call.args[0] !== 1;
  };
  const world = await startOffline({ beforeReplay, replay: (calls) => calls.reverse().slice(0, 2) });
  const call = world.client.__rpc("a/b");
  const results = [1, 2, 3, 4, 5].map((n) => outcome(call(n)));
  const queuedAt = world.clock.time;
  const lines = await consoleOf(() => reconnect(world));
  assert.equal(lines.length, 1, "the exception is reported");
  assert.deepEqual(asked[0], { path: "a/b", args: [1], queuedAt });
  for (let i = 0; i < 2; i++) await world.socket.reply("a/b", "done");
  assert.deepEqual(await Promise.all(results), ["STALE", "STALE", "STALE", { value: "done" }, { value: "done" }]);
  assert.deepEqual(world.socket.requests.map((frame) => frame.args), [[5], [4]]);
});

test("a call that fails in the replay rejects and is reported; the next one runs", async () => {
  const failed = [];
  const world = await startOffline({ onReplayError: (call, error) => failed.push([call.path, call.args, error.code]) });
  const call = world.client.__rpc("a/b");
  const results = [outcome(call(1)), outcome(call(2))];
  await reconnect(world);
  await world.socket.answer(world.socket.request("a/b").id, { ok: false, code: "LOCKED", error: "no" });
  await world.socket.reply("a/b", "ok");
  assert.deepEqual(await Promise.all(results), ["LOCKED", { value: "ok" }]);
  assert.deepEqual(failed, [["a/b", [1], "LOCKED"]]);
});

test("batches and streams are not held", async () => {
  const world = await startOffline();
  const call = world.client.__rpc("a/b");
  const held = call(1);
  held.catch(() => {});
  world.client.batch(() => [call(2), call(3)]).catch(() => {});
  await reconnect(world);
  assert.deepEqual(world.socket.requests.map((frame) => frame.args), [[2], [3], [1]]);
});

test("the end of the connection rejects what was held", async () => {
  const world = await startOffline();
  const result = outcome(world.client.__rpc("a/b")(1));
  await world.clock.advance(world.clock.waits[0]);
  await world.socket.drop(4403);
  assert.equal(await result, "CONNECTION_CLOSED");
});

test("without the option calls wait in the send queue as ever", async () => {
  const world = await startOpen();
  await world.socket.drop();
  world.client.__rpc("a/b")(1).catch(() => {});
  await reconnect(world);
  assert.deepEqual(world.socket.requests.map((frame) => frame.args), [[1]]);
});

test("when the line breaks in the middle of a replay, the rest waits for the next connection", async () => {
  const world = await startOffline();
  const call = world.client.__rpc("a/b");
  const results = [1, 2, 3].map((n) => outcome(call(n)));
  await reconnect(world);
  assert.deepEqual(world.socket.requests.map((frame) => frame.args), [[1]]);
  await world.socket.drop();
  assert.equal(await results[0], "DISCONNECTED");
  await world.clock.advance(world.clock.waits[0]);
  await world.socket.drop(); // a vain attempt fails none of them
  await world.clock.advance(world.clock.waits[0]);
  const waiting = outcome(call(4));
  await world.socket.open();
  assert.deepEqual(world.socket.requests.map((frame) => frame.args), [[2]]);
  for (const n of [2, 3, 4]) await world.socket.reply("a/b", n);
  assert.deepEqual(await Promise.all([...results.slice(1), waiting]), [{ value: 2 }, { value: 3 }, { value: 4 }]);
});

test("a strategy that returns what it was not given, or twice, sends each call once", async () => {
  const world = await startOffline({ replay: ([first, second]) => [second, second, { path: "x/y", args: [] }, first] });
  const call = world.client.__rpc("a/b");
  const results = [1, 2].map((n) => outcome(call(n)));
  await reconnect(world);
  for (let i = 0; i < 2; i++) await world.socket.reply("a/b", i);
  assert.deepEqual(world.socket.requests.map((frame) => frame.args), [[2], [1]]);
  assert.deepEqual(await Promise.all(results), [{ value: 1 }, { value: 0 }]);
});
