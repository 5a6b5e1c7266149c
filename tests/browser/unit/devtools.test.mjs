// Assertions and what the devtools record: live 18.3, 21.2, 23.4, 25.
import assert from "node:assert/strict";
import test from "node:test";
import { consoleOf, openStream, settle, start, startOpen } from "./harness.mjs";

test("an assertion counts and logs one line, without secrets, and never throws", async () => {
  const { client } = await start();
  const lines = await consoleOf(async () => {
    client.assert(true, "a/b");
    client.assert(0, "a/b", { n: 1, Password: "x", big: 1n });
    client.assert(false, "a/b");
    client.assert(null, "c/d");
  });
  assert.deepEqual(client.getAssertionCounters(), { "a/b": 2, "c/d": 1 });
  assert.equal(lines[0], '[realtime/assert] {"category":"a/b","context":{"n":1,"Password":"[REDACTED]","big":"1"}}');
  assert.equal(lines.length, 3);
});

test("1000 categories are counted; further ones together", async () => {
  const { client } = await start();
  await consoleOf(async () => {
    for (let i = 0; i < 1005; i++) client.assert(false, `c${i}`);
  });
  const counts = client.getAssertionCounters();
  assert.deepEqual([Object.keys(counts).length, counts.other], [1001, 5]);
});

test("in production nothing is recorded", async () => {
  const { client } = await startOpen();
  assert.equal(client.__devtools, null);
});

test("under the dev server: calls with their outcome and duration, 50 of them, secrets left out", async () => {
  const world = await startOpen({ dev: true });
  const devtools = world.client.__devtools;
  const call = world.client.__rpc("a/b");
  const done = call({ token: "t", deep: [[[[[[1]]]]]] });
  assert.deepEqual([...devtools.pending.values()].map(({ path, args }) => [path, args]), [
    ["a/b", [{ token: "[REDACTED]", deep: [[["[depth-cap]"]]] }]],
  ]);
  await world.clock.advance(25);
  await world.socket.reply("a/b", { sessionId: "s", ok: 1 });
  await done;
  const [entry] = devtools.calls;
  assert.deepEqual([entry.ok, entry.result, entry.duration], [true, { sessionId: "[REDACTED]", ok: 1 }, 25]);
  for (let i = 0; i < 60; i++) call(i).catch(() => {});
  await world.socket.drop();
  assert.deepEqual([devtools.calls.length, devtools.pending.size], [50, 0]);
  assert.deepEqual([devtools.calls[49].ok, devtools.calls[49].args], [false, [59]]);
  assert.match(devtools.calls[49].result.error, /connection was lost/);
  devtools.clear();
  assert.equal(devtools.calls.length, 0);
});

test("under the dev server: 100 volatile calls, 20 events of each stream, and the streams in use", async () => {
  const world = await startOpen({ dev: true });
  const devtools = world.client.__devtools;
  await openStream(world);
  for (let i = 0; i < 25; i++) await world.socket.event("todos", "created", { id: i });
  assert.deepEqual(devtools.events.get("todos/list").map(({ data }) => data.id), Array.from({ length: 20 }, (_, i) => i + 5));
  const [{ value, ...rest }] = devtools.streams;
  assert.deepEqual(rest, { path: "todos/list", args: [], topic: "todos", merge: "crud", status: "connected", error: null, subscribers: 1 });
  assert.deepEqual(value.at(-1), { id: 24 });
  const fire = world.client.__rpc("a/b").fireAndForget;
  for (let i = 0; i < 105; i++) fire(i);
  await world.socket.drop();
  await consoleOf(async () => fire("lost"));
  assert.deepEqual([devtools.volatile.length, devtools.volatileDropped], [100, 1]);
  assert.deepEqual([devtools.volatile[98].isDropped, devtools.volatile[99].isDropped], [false, true]);
});

test("while paused nothing is recorded; further keys can be left out", async () => {
  const world = await startOpen({ dev: true });
  const devtools = world.client.__devtools;
  devtools.redactKeys.add("iban");
  const fire = world.client.__rpc("a/b").fireAndForget;
  fire({ IBAN: 1 });
  devtools.isPaused = true;
  fire(2);
  world.client.__rpc("a/b")(3).catch(() => {});
  await settle();
  assert.deepEqual(devtools.volatile.map(({ args }) => args), [[{ IBAN: "[REDACTED]" }]]);
  assert.equal(devtools.pending.size, 0);
});
