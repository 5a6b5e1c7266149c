// A stream across a reconnect: nothing twice, nothing out of order, nothing empty in between: wire 5.4, 7.5, 8.4.
import assert from "node:assert/strict";
import test from "node:test";
import { openStream, record, settle, startOpen } from "./harness.mjs";

const item = (id, text = `t${id}`) => ({ id, text });
const CRUD = { topic: "todos", merge: "crud", key: "id" };
const missed = (seq, event, data) => ({ seq, topic: "todos", event, data });

async function reopen(world) {
  await world.socket.drop();
  await world.clock.advance(world.clock.waits[0]);
  await world.socket.open();
}

async function reconnect(world) {
  await reopen(world);
  await world.clock.advance(99);
}

test("events between the reconnect and the answer wait, so that missed ones come before them", async () => {
  const world = await startOpen();
  const { seen } = await openStream(world, { data: [item(1)], seq: 40 });
  await reopen(world);
  await world.socket.event("todos", "created", item(3), 42);
  assert.deepEqual(seen.last, [item(1)]);
  await world.clock.advance(99);
  const list = [missed(41, "created", item(2)), missed(42, "created", item(3))];
  await world.socket.reply("todos/list", list, { ...CRUD, seq: 42, replay: true });
  assert.deepEqual([...seen], [undefined, [item(1)], [item(1), item(2), item(3)]]);
  await world.socket.event("todos", "created", item(4), 43);
  assert.deepEqual(seen.last.map(({ id }) => id), [1, 2, 3, 4]);
});

test("a whole value contains what waited; a channel, a delta and an unchanged value do not", async () => {
  for (const [reply, data, expected] of [
    [{}, [item(2)], [2]],
    [{ seq: 42, replay: false }, [item(2)], [2]],
    [{ channel: true }, [], [1, 3]],
    [{ unchanged: true, version: 1 }, [], [1, 3]],
    [{ delta: true, version: 2 }, [item(2)], [1, 3, 2]],
  ]) {
    const world = await startOpen();
    const { seen } = await openStream(world, { data: [item(1)], version: 1 });
    await reopen(world);
    await world.socket.event("todos", "created", item(3), 42);
    await world.clock.advance(99);
    await world.socket.reply("todos/list", data, { ...CRUD, ...reply });
    assert.deepEqual(seen.last.map(({ id }) => id), expected, JSON.stringify(reply));
  }
});

test("a replay without a number contains what its last event does; unnumbered events are applied before it", async () => {
  const world = await startOpen();
  const { seen } = await openStream(world, { data: [item(1)], seq: 40 });
  await reopen(world);
  await world.socket.event("todos", "updated", item(1, "volatile"));
  await world.socket.event("todos", "created", item(3), 42);
  await world.clock.advance(99);
  const list = [missed(41, "created", item(2)), missed(42, "created", item(3))];
  await world.socket.reply("todos/list", list, { ...CRUD, replay: true });
  assert.deepEqual(seen.last, [item(1, "volatile"), item(2), item(3)]);
});

for (const [name, act] of [
  ["an error", (world) => world.socket.answer(world.socket.request("todos/list").id, { ok: false, code: "X", error: "x" })],
  ["a denial", (world) => world.socket.receive({ type: "subscribe-denied", topic: "todos", ref: 2, reason: "X" })],
]) {
  test(`what waited is applied after ${name} instead of an answer`, async () => {
    const world = await startOpen();
    const { seen } = await openStream(world, { data: [item(1)] });
    await reopen(world);
    await world.socket.event("todos", "created", item(2));
    if (name === "an error") await world.clock.advance(99);
    await act(world);
    assert.deepEqual(seen.last.map(({ id }) => id), [1, 2]);
  });
}

for (const isAsked of [false, true]) {
  test(`what waited when the line breaks again waits for the next answer; asked for: ${isAsked}`, async () => {
    const world = await startOpen();
    const { seen } = await openStream(world, { data: [item(1)] });
    await reopen(world);
    await world.socket.event("todos", "created", item(3));
    if (isAsked) await world.clock.advance(99);
    await reconnect(world);
    assert.deepEqual(seen.last, [item(1)], "no list with a hole");
    await world.socket.reply("todos/list", [], { ...CRUD, channel: true });
    assert.deepEqual(seen.last, [item(1), item(3)]);
  });
}

test("what waited is applied when the next question is put off", async () => {
  const world = await startOpen();
  const { seen } = await openStream(world, { data: [item(1)] });
  await reopen(world);
  await world.socket.event("todos", "created", item(2));
  await reopen(world);
  assert.deepEqual(seen.last, [item(1)]);
  await reopen(world);
  assert.deepEqual(seen.last, [item(1), item(2)]);
});

test("when the answer is long in coming because of backoff, events apply at once", async () => {
  const world = await startOpen();
  const { seen } = await openStream(world, { data: [item(1)] });
  for (let i = 0; i < 3; i++) await reopen(world);
  await world.socket.event("todos", "created", item(2));
  assert.deepEqual(seen.last.map(({ id }) => id), [1, 2]);
});

test("10,000 waiting events are applied at once; the answer still counts", async () => {
  const world = await startOpen();
  const { seen } = await openStream(world, { merge: "set", data: 0 });
  await reopen(world);
  const events = Array.from({ length: 10_001 }, (_, i) => ({ topic: "todos", event: "set", data: i + 1, seq: i + 1 }));
  await world.socket.receive({ type: "batch", events });
  assert.equal(seen.last, 10_001);
  await world.clock.advance(99);
  await world.socket.reply("todos/list", "new", { topic: "todos", merge: "set" });
  assert.equal(seen.last, "new");
});

test("a pending change is confirmed by an event that waited", async () => {
  const world = await startOpen();
  const { stream, seen } = await openStream(world, { data: [] });
  let finish;
  const done = stream.mutate(() => new Promise((resolve) => (finish = resolve)), { event: "created", data: item(1, "mine") });
  await reopen(world);
  await world.socket.event("todos", "created", item(1, "theirs"), 5);
  await world.clock.advance(99);
  await world.socket.reply("todos/list", [item(1, "theirs")], CRUD);
  finish();
  await done;
  assert.deepEqual(seen.last, [item(1, "theirs")]);
});

test("latest: a replay does not repeat what had come live before the line broke", async () => {
  const world = await startOpen();
  const { seen } = await openStream(world, { merge: "latest", data: [1], seq: 40 });
  await world.socket.event("todos", "x", 2, 41);
  await world.socket.event("todos", "x", 3, 42);
  await reconnect(world);
  const list = [missed(41, "x", 2), missed(42, "x", 3), missed(43, "x", 4)];
  await world.socket.reply("todos/list", list, { topic: "todos", merge: "latest", seq: 43, replay: true });
  assert.deepEqual(seen.last, [1, 2, 3, 4]);
  await world.socket.event("todos", "x", 5, 44);
  await reconnect(world);
  await world.socket.reply("todos/list", [missed(44, "x", 5)], { topic: "todos", merge: "latest", seq: 44, replay: true });
  assert.deepEqual(seen.last, [1, 2, 3, 4, 5]);
});

test("latest: behind a hole in the numbers a replay is taken as it is", async () => {
  const world = await startOpen();
  const { seen } = await openStream(world, { merge: "latest", data: [], seq: 40 });
  await world.socket.event("todos", "x", "b", 42); // 41 was dropped on the way
  await reconnect(world);
  await world.socket.reply("todos/list", [missed(41, "x", "a")], { topic: "todos", merge: "latest", seq: 42, replay: true });
  assert.deepEqual(seen.last, ["b", "a"]);
});

test("leftovers of the subscription before are not applied over a newer answer", async () => {
  const world = await startOpen();
  const { seen } = await openStream(world, { data: [item(1, "old")] });
  await reconnect(world); // unsubscribe and request have just gone out
  await world.socket.event("todos", "updated", item(1, "older than the answer"), 41);
  await world.socket.reply("todos/list", [item(1, "newest")], CRUD);
  assert.deepEqual([...seen], [undefined, [item(1, "old")], [item(1, "newest")]]);
});

test("events while another store is on the topic are applied behind the answer, but for those it contains", async () => {
  const world = await startOpen();
  await openStream(world, { data: [] });
  const other = record(world.client.__stream("todos/open", {}, false));
  await settle();
  await world.socket.event("todos", "created", item(1, "in the answer"), 41);
  await world.socket.event("todos", "created", item(2), 42);
  await world.socket.reply("todos/open", [item(1, "newer")], { ...CRUD, seq: 41 });
  assert.deepEqual(other.last, [item(1, "newer"), item(2)]);
});

const named = (world, path) => {
  const store = world.client.__stream(path);
  return { store, seen: record(store) };
};
const types = (world) => world.socket.sent.map((frame) => frame.rpc ?? frame.type ?? frame.batch.map(({ rpc }) => rpc));

async function twoOnOneTopic() {
  const world = await startOpen();
  const [one, two] = [named(world, "a/one"), named(world, "a/two")];
  await settle();
  await world.socket.reply("a/one", [item(1)], CRUD);
  await world.socket.reply("a/two", [item(1)], CRUD);
  let asked = 0;
  world.client.__environment.random = () => (asked++ % 2 ? 0.9 : 0.1); // each waits for a moment of its own
  await reopen(world);
  world.socket.take();
  await world.clock.advance(world.clock.waits[0]);
  assert.equal(world.socket.requests.length, 1);
  return { world, one, two, first: world.socket.requests[0].rpc };
}

test("two streams of one topic that ask again after a reconnect miss nothing", async () => {
  const { world, one, two, first } = await twoOnOneTopic();
  await world.socket.event("todos", "created", item(2));
  await world.clock.advance(99);
  const second = first === "a/one" ? "a/two" : "a/one";
  await world.socket.event("todos", "created", item(3));
  assert.deepEqual(types(world), [first, second]);
  await world.socket.reply(first, [item(1)], CRUD);
  await world.socket.reply(second, [item(1), item(2), item(3)], CRUD);
  await world.socket.event("todos", "created", item(4));
  for (const { seen } of [one, two]) assert.deepEqual(seen.last, [item(1), item(2), item(3), item(4)]);
});

test("a topic that only a request is for is left when that ends", async () => {
  const { world, one, two, first } = await twoOnOneTopic();
  const [asking, other] = first === "a/one" ? [one, two] : [two, one];
  other.seen.off();
  await settle();
  assert.deepEqual(types(world), [first]);
  asking.seen.off();
  await settle();
  assert.deepEqual(types(world), [first, "unsubscribe"]);
});

test("a stream whose topic was left behind its first request asks again", async () => {
  const world = await startOpen();
  const one = named(world, "a/one");
  await settle();
  await world.socket.reply("a/one", [item(1)], CRUD);
  const two = named(world, "a/two");
  await settle();
  one.seen.off();
  await settle();
  assert.deepEqual(types(world).slice(-2), ["a/two", "unsubscribe"]);
  const first = world.socket.request("a/two").id;
  await world.socket.reply("a/two", [item(1)], CRUD);
  const again = world.socket.request("a/two").id;
  assert.notEqual(again, first);
  await world.socket.reply("a/two", [item(1), item(2)], CRUD);
  await world.socket.event("todos", "created", item(3));
  assert.deepEqual(two.seen.last, [item(1), item(2), item(3)]);
  assert.equal(world.socket.request("a/two").id, again);
});

test("a stream that was closed before its answer is left when that comes, unless somebody is on the topic", async () => {
  const world = await startOpen();
  const one = named(world, "a/one");
  await settle();
  one.seen.off();
  await settle();
  const frames = types(world).length;
  await world.socket.reply("a/one", [item(1)], CRUD);
  assert.deepEqual(world.socket.sent.slice(frames), [{ type: "unsubscribe", topic: "todos" }]);
  assert.equal(one.store.get(), undefined);
  const two = named(world, "a/two");
  await settle();
  await world.socket.reply("a/two", [item(1)], CRUD);
  const again = record(one.store);
  await settle();
  again.off();
  await settle();
  world.socket.sent.splice(0, world.socket.sent.length - 1);
  await world.socket.reply("a/one", [item(1)], CRUD);
  await world.socket.event("todos", "created", item(2));
  assert.deepEqual([types(world), two.seen.last], [["a/one"], [item(1), item(2)]]);
});

test("a late refusal, and an answer that never comes, are nothing", async () => {
  const world = await startOpen({ options: { timeout: 5000 } });
  for (const refuses of [true, false]) {
    const { store, seen } = named(world, `a/${refuses}`);
    await settle();
    seen.off();
    await settle();
    const { id } = world.socket.request(`a/${refuses}`);
    if (refuses) await world.socket.answer(id, { ok: false, code: "FORBIDDEN", error: "no" });
    await world.clock.advance(6000);
    assert.equal(store.error.get(), null);
  }
  assert.deepEqual(types(world).filter((type) => type === "unsubscribe"), []);
});

test("a late answer leaves the topic to who came back to the stream", async () => {
  const world = await startOpen();
  const one = named(world, "a/one");
  await settle();
  const late = world.socket.request("a/one").id;
  one.seen.off();
  await settle();
  const again = record(one.store);
  await settle();
  await world.socket.answer(late, { ok: true, data: [item(1)], ...CRUD });
  await world.socket.reply("a/one", [item(1), item(2)], CRUD);
  assert.deepEqual(types(world), ["a/one", "a/one", "subscribe"]);
  assert.deepEqual(again.last, [item(1), item(2)]);
});
