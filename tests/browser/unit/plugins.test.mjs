// Stores of presence, cursors, groups, channels and replays: wire 6, live 25.
import assert from "node:assert/strict";
import test from "node:test";
import { record, settle, start, startOpen } from "./harness.mjs";

const types = (world) => world.socket.take().map((frame) => frame.type);

test("presence: a state replaces all, a diff takes leaves before joins; no frame names the system topic", async () => {
  const world = await startOpen();
  const seen = record(world.client.presence("room"));
  const event = (name, data) => world.socket.event("__presence:room", name, data, 1);
  await event("presence_state", { u1: { name: "Ann" }, u2: { name: "Bob" } });
  await event("presence_diff", { joins: { u3: { name: "Cid" } }, leaves: { u1: { name: "Ann" } } });
  await event("presence_diff", { joins: { u2: { name: "Bo" } }, leaves: { u2: {} } });
  await event("heartbeat", ["u2"]);
  await event("presence_state", { u9: { name: "Zoe" } });
  assert.deepEqual(
    seen.map((list) => list.map(({ name }) => name)),
    [[], ["Ann", "Bob"], ["Bob", "Cid"], ["Cid", "Bo"], ["Zoe"]]
  );
  seen.off();
  await settle();
  assert.deepEqual(types(world), []);
});

test("presence with maxAge forgets who is in no heartbeat", async () => {
  const world = await startOpen();
  const seen = record(world.client.presence("room", { maxAge: 1000 }));
  await world.socket.event("__presence:room", "presence_state", { u1: "Ann", u2: "Bob" });
  await world.clock.advance(800);
  await world.socket.event("__presence:room", "heartbeat", ["u1", "nobody"]);
  await world.clock.advance(500);
  assert.deepEqual(seen.last, ["Ann"]);
  await world.clock.advance(1000);
  assert.deepEqual(seen.last, []);
  seen.off();
  assert.deepEqual(world.clock.waits, []);
});

test("cursor: a snapshot is asked for at each open, behind the topics; the map follows the events", async () => {
  const world = await start({ page: true });
  world.client.on("canvas").subscribe(() => {});
  const seen = record(world.client.cursor("canvas"));
  await world.socket.open();
  await settle();
  const [, subscribe, ask] = world.socket.take();
  assert.deepEqual([subscribe.type, ask], ["subscribe-batch", { type: "cursor-snapshot", topic: "canvas" }]);
  const event = (name, data) => world.socket.event("__cursor:canvas", name, data);
  await event("snapshot", [{ key: "1", user: "Ann", data: { x: 1 } }]);
  await event("update", { key: "2", user: "Bob", data: { x: 2 } });
  await event("bulk", [{ key: "2", user: "Bob", data: { x: 3 } }, { key: "3", user: "Cid", data: null }]);
  await event("remove", { key: "1" });
  assert.deepEqual([...seen.last], [["2", { user: "Bob", data: { x: 3 } }], ["3", { user: "Cid", data: null }]]);
  assert.notEqual(seen.at(-1), seen.at(-2), "a new map each time");
  await event("snapshot", []);
  assert.equal(seen.last.size, 0);
  for (const isVisible of [false, true]) await world.document.setVisible(isVisible);
  assert.deepEqual(types(world), ["cursor-snapshot"]);
  await world.socket.drop();
  await world.clock.advance(3000);
  await world.socket.open();
  await settle();
  assert.deepEqual(types(world), ["hello", "subscribe-batch", "cursor-snapshot"]);
});

test("cursor asks behind the subscribe of the same microtask, and forgets what does not move", async () => {
  const world = await startOpen();
  const seen = record(world.client.cursor("canvas", { maxAge: 400 }));
  world.client.on("canvas").subscribe(() => {});
  await settle();
  assert.deepEqual(types(world), ["subscribe", "cursor-snapshot"]);
  await world.socket.event("__cursor:canvas", "update", { key: "1", user: null, data: 1 });
  await world.clock.advance(300);
  assert.equal(seen.last.size, 1);
  await world.clock.advance(300);
  assert.equal(seen.last.size, 0);
});

test("group: the last event, and the members", async () => {
  const world = await startOpen();
  const store = world.client.group("g");
  const seen = record(store);
  const members = record(store.members);
  const event = (name, data) => world.socket.event("__group:g", name, data);
  await event("members", [{ role: "admin" }, { role: "member" }]);
  await event("join", { role: "viewer", count: 3 });
  await event("leave", { role: "member", count: 2 });
  await event("leave", { role: "nobody" });
  await event("news", { n: 1 });
  await event("close", null);
  assert.deepEqual(seen.map((last) => last?.event), [undefined, "members", "join", "leave", "leave", "news", "close"]);
  assert.deepEqual(seen[5], { topic: "__group:g", event: "news", data: { n: 1 } });
  const roles = members.map((list) => list.map(({ role }) => role));
  assert.deepEqual(roles, [[], ["admin", "member"], ["admin", "member", "viewer"], ["admin", "viewer"], []]);
});

test("group: listening to the members alone follows the group", async () => {
  const world = await startOpen();
  const members = record(world.client.group("g").members);
  await world.socket.event("__group:g", "members", [{ role: "admin" }]);
  assert.deepEqual(members.last, [{ role: "admin" }]);
  members.off();
  assert.deepEqual(world.client.group("g").members.get(), []);
});

test("channel: events by name, and only names that exist", async () => {
  const world = await startOpen();
  const { channel } = world.client;
  const typed = channel("typing", ["start", "stop"]);
  const starts = record(typed.on("start"));
  const all = record(typed.on());
  await world.socket.event("typing", "start", { by: 1 });
  await world.socket.event("typing", "stop", { by: 1 });
  assert.deepEqual(starts.map((last) => last?.data), [undefined, { by: 1 }]);
  assert.deepEqual(all.map((last) => last?.event), [undefined, "start", "stop"]);
  assert.throws(() => typed.on("begin"), /no event 'begin'; it has start, stop/);
  channel("typing").on("anything");
  assert.throws(() => channel("typing", "start"), TypeError);
});

test("equal arguments give the same store; 1000 are kept, unused ones go first", async () => {
  const world = await startOpen();
  const { presence, cursor, group, channel, onReplay } = world.client;
  assert.equal(presence("a"), presence("a", {}));
  assert.notEqual(presence("a"), presence("a", { maxAge: 5 }));
  assert.equal(cursor("a"), cursor("a"));
  assert.equal(group("a"), group("a"));
  assert.equal(channel("a", ["x"]), channel("a", ["x"]));
  assert.notEqual(onReplay("a", { since: 1 }), onReplay("a", { since: 2 }));
  const used = presence("used");
  used.subscribe(() => {});
  const unused = presence("unused");
  for (let i = 0; i < 1000; i++) presence(`p${i}`);
  assert.equal(presence("used"), used);
  assert.notEqual(presence("unused"), unused);
});

test("bad arguments are errors that name the call", async () => {
  const { client } = await start();
  for (const name of ["presence", "cursor", "group", "channel", "onReplay"]) {
    for (const bad of ["", null, 5]) assert.throws(() => client[name](bad), new RegExp(`^TypeError: ${name}`));
  }
  for (const name of ["presence", "cursor"]) {
    assert.throws(() => client[name]("a", { maxage: 1 }), /unknown option 'maxage'.*maxAge/);
    assert.throws(() => client[name]("a", { maxAge: -1 }), RangeError);
  }
  for (const since of [-1, 1.5, "3", NaN]) assert.throws(() => client.onReplay("a", { since }), RangeError);
});

// ---------------------------------------------------------------- replay

const msg = (reqId, seq, data) => ({ topic: "__replay:chat", event: "msg", data: { reqId, seq, event: "created", data } });
const end = (reqId, more = {}) => ({ topic: "__replay:chat", event: "end", data: { reqId, ...more } });
const numbers = (seen) => seen.slice(1).map(({ event, data, seq }) => (event === "created" ? data : event) + (seq ? "" : "?"));

/** A replay store on an open connection, and the id of its request. */
async function replaying(since = 5) {
  const world = await startOpen();
  const seen = record(world.client.onReplay("chat", { since }));
  await settle();
  const [subscribe, ask] = world.socket.take();
  assert.deepEqual([subscribe.type, ask], ["subscribe", { type: "replay", topic: "chat", since, reqId: ask.reqId }]);
  return { world, seen, reqId: ask.reqId };
}

test("replay: the missed events, then the live ones, none twice; foreign answers do not count", async () => {
  const { world, seen, reqId } = await replaying();
  await world.socket.event("chat", "created", 7, 7); // before the end: part of the answer
  await world.socket.receive(msg(reqId + 1, 6, 60), msg(reqId, 6, 6), msg(reqId, 7, 7), end(reqId + 1));
  await world.socket.event("chat", "created", 8, 8);
  await world.socket.receive(msg(reqId, 8, 8), end(reqId));
  await world.socket.event("chat", "created", 9, 9);
  await world.socket.event("chat", "created", 9, 9);
  await world.socket.event("chat", "created", "direct");
  assert.deepEqual(seen.slice(1).map(({ data }) => data), [6, 7, 8, 9, "direct"]);
  assert.deepEqual(seen[1], { topic: "chat", event: "created", data: 6, seq: 6 });
});

for (const [name, frame] of [
  ["an answer that is not whole", (reqId) => end(reqId, { truncated: true })],
  ["a refusal", (reqId) => ({ topic: "__replay:chat", event: "denied", data: { code: "FORBIDDEN", reqId } })],
]) {
  test(`replay: ${name} gives one event truncated, behind the replayed ones`, async () => {
    const { world, seen, reqId } = await replaying();
    await world.socket.receive(msg(reqId, 8, 8), frame(reqId), end(reqId, { truncated: true }));
    await world.socket.event("chat", "created", 9, 9);
    assert.deepEqual(numbers(seen), ["8", "truncated?", "9"]);
  });
}

test("replay: no answer at all is truncated after the time limit, and live events come through", async () => {
  const { world, seen } = await replaying();
  await world.clock.advance(30_000);
  await world.socket.event("chat", "created", 3, 3);
  assert.deepEqual(seen.slice(1).map(({ event, data }) => [event, data]), [["truncated", null], ["created", 3]]);
});

test("replay: after a reconnect the rest is asked for; what a resume sent before is not repeated", async () => {
  const { world, seen, reqId } = await replaying();
  await world.socket.receive(msg(reqId, 6, 6), end(reqId));
  await world.socket.event("chat", "created", 7, 7);
  await world.socket.drop();
  await world.clock.advance(3000);
  await world.socket.open();
  const resumeMsg = { topic: "__replay:chat", event: "msg", data: { seq: 8, event: "created", data: 8 } };
  await world.socket.receive(resumeMsg, { topic: "__replay:chat", event: "end", data: null });
  await settle();
  const ask = world.socket.take().at(-1);
  assert.deepEqual([ask.type, ask.reqId > reqId], ["replay", true]);
  assert.ok([7, 8].includes(ask.since));
  await world.socket.receive(msg(ask.reqId, 8, 8), msg(ask.reqId, 9, 9), end(ask.reqId));
  await world.socket.event("chat", "created", 10, 10);
  assert.deepEqual(seen.slice(1).map(({ data }) => data), [6, 7, 8, 9, 10]);
});

test("replay: numbers that began anew after a restart are taken", async () => {
  const { world, seen, reqId } = await replaying(1000);
  await world.socket.receive(end(reqId, { truncated: true }));
  await world.socket.event("chat", "created", 1, 1);
  await world.socket.event("chat", "created", 2, 2);
  assert.deepEqual(seen.slice(1).map(({ event, data }) => data ?? event), ["truncated", 1, 2]);
});

test("replay: leaving ends it, and a later listener begins again", async () => {
  const { world, seen, reqId } = await replaying();
  await world.socket.receive(msg(reqId, 6, 6), end(reqId));
  seen.off();
  await settle();
  assert.deepEqual(types(world), ["unsubscribe"]);
  assert.deepEqual(world.clock.waits, []);
  const again = record(world.client.onReplay("chat", { since: 5 }));
  await settle();
  assert.deepEqual([again.last, world.socket.take().at(-1).since], [null, 5]);
});

test("replay: hiding and showing the page asks for nothing", async () => {
  const world = await startOpen({ page: true });
  world.client.onReplay("chat").subscribe(() => {});
  await settle();
  world.socket.take();
  for (const isVisible of [false, true]) await world.document.setVisible(isVisible);
  assert.deepEqual(types(world), []);
});
