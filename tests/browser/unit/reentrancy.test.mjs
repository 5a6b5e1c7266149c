// What an app does inside callbacks, and what is at the edge of what it may ask for.
import assert from "node:assert/strict";
import test from "node:test";
import { openStream, outcome, record, settle, start, startOpen } from "./harness.mjs";

const types = (world) => world.socket.take().map((frame) => frame.type);

async function isEnded(world, connection, states) {
  assert.equal(connection.status.get(), "failed");
  assert.equal(world.client.status.get(), "failed");
  assert.equal(states.last, "failed");
  assert.equal(await outcome(connection.ready()), "CONNECTION_CLOSED");
  assert.equal(await outcome(world.client.__rpc("a/b")()), "CONNECTION_CLOSED");
  const sockets = world.sockets.length;
  await world.clock.advance(1_000_000);
  assert.equal(world.sockets.length, sockets, "no further attempt");
  assert.deepEqual(world.clock.waits, []);
}

test("close() inside onDisconnect ends the connection for good", async () => {
  let connection;
  const world = await start({ options: { onDisconnect: () => connection.close() } });
  connection = world.client.connect();
  const states = record(world.client.status);
  await world.socket.open();
  await world.socket.drop();
  await isEnded(world, connection, states);
});

test("close() inside onConnect ends the connection for good", async () => {
  let connection;
  const world = await start({ options: { onConnect: () => connection.close() } });
  connection = world.client.connect();
  const states = record(world.client.status);
  await world.socket.open();
  await world.socket.drop();
  await world.clock.advance(3000);
  await world.socket.open();
  assert.equal(world.socket.closeCode, 1000);
  await isEnded(world, connection, states);
});

for (const closesAt of ["a loss", "an open"]) {
  test(`close() inside a listener of the failure ends the connection for good: at ${closesAt}`, async () => {
    const world = await startOpen();
    const connection = world.client.connect();
    const states = record(world.client.status);
    let isFirst = true;
    connection.failure.subscribe((failure) => {
      if (!isFirst && (failure !== null) === (closesAt === "a loss")) connection.close();
      isFirst = false;
    });
    await world.socket.drop();
    await world.clock.advance(3000);
    if (closesAt === "an open") await world.socket.open();
    await isEnded(world, connection, states);
  });
}

for (const status of ["connecting", "open", "disconnected"]) {
  test(`close() inside a listener of the status ends the connection for good: at ${status}`, async () => {
    const world = await startOpen();
    const connection = world.client.connect();
    const states = record(world.client.status);
    let isLost = false;
    connection.status.subscribe((now) => isLost && now === status && connection.close());
    isLost = true;
    await world.socket.drop();
    await world.clock.advance(3000);
    if (status === "open") await world.socket.open();
    await isEnded(world, connection, states);
  });
}

test("connect() inside a listener that hears of the end begins anew", async () => {
  const world = await startOpen();
  const states = record(world.client.status);
  world.client.status.subscribe((status) => status === "failed" && world.client.connect());
  await world.socket.drop(4401);
  await world.socket.open();
  assert.equal(world.sockets.length, 2);
  assert.equal(states.last, "open");
});

test("waits without an end are as long as a timer can be, and not over at once", async () => {
  const endless = { reconnectInterval: Infinity, maxReconnectInterval: Infinity, timeout: Infinity, resumeGraceMs: Infinity };
  const world = await startOpen({ options: endless });
  world.client.__rpc("a/b")().catch(() => {});
  const { seen } = await openStream(world, { data: [] });
  seen.off();
  await settle();
  await world.socket.drop();
  assert.deepEqual(new Set(world.clock.waits), new Set([2 ** 31 - 1]));
});

test("a backoff that grows without a limit stays within what a timer can do", async () => {
  const world = await start({ options: { maxReconnectInterval: Infinity } });
  world.client.connect();
  for (let i = 0; i < 40; i++) {
    await world.socket.drop();
    const [wait] = world.clock.waits;
    assert.equal(Math.round(wait), Math.round(Math.min(3000 * 2.2 ** i, 2 ** 31 - 1)), `attempt ${i}`);
    await world.clock.advance(wait);
  }
});

test("time limits that are none are refused where they are given", async () => {
  const world = await startOpen();
  for (const timeout of [0, -1, NaN, "5", null]) {
    assert.throws(() => world.client.__rpc("a/b").with({ timeout }), /a\/b\.with: timeout must be a number from 1 on/);
  }
});

test("items whose key is an object that has no text do not hold up a frame", async () => {
  const world = await startOpen({ frames: true });
  const odd = await openStream(world, { path: "odd/list", topic: "odd" });
  const plain = await openStream(world, { data: [{ id: 1 }] });
  const key = { toString: 1, valueOf: 1 };
  await world.socket.event("odd", "created", { id: 1 });
  await world.socket.event("odd", "updated", { id: key });
  await world.socket.event("odd", "updated", { id: 1, isNew: true });
  await world.socket.event("todos", "updated", { id: 1, isNew: true });
  world.frame();
  assert.deepEqual([odd.seen.last, plain.seen.last], [[{ id: 1, isNew: true }], [{ id: 1, isNew: true }]]);
});

test("a preflight address that is none is an error at each use, and leaves no dead connection", async () => {
  const world = await start({ options: { auth: "http://[" } });
  for (let i = 0; i < 2; i++) assert.throws(() => world.client.connect(), TypeError);
  await assert.rejects(world.client.__rpc("a/b")(), TypeError);
  world.client.configure({ url: "ws://app.test/ws" });
  world.client.connect();
  await world.socket.open();
  assert.equal(world.client.status.get(), "open");
});

test("a replay that nobody waits for at the end of the turn is not asked for", async () => {
  const world = await startOpen();
  world.client.onReplay("log").subscribe(() => {})();
  await settle();
  assert.deepEqual(types(world), []);
  assert.deepEqual(world.clock.waits, []);
});

test("an answer to the server that JSON leaves out is null", async () => {
  const world = await startOpen();
  for (const answer of [() => {}, Symbol("x"), { toJSON: () => undefined }]) {
    world.client.onPush("ask", () => answer);
    await world.socket.receive({ type: "request", ref: 1, event: "ask", data: null });
    assert.deepEqual(world.socket.take(), [{ type: "reply", ref: 1, data: null }]);
  }
});

test("the calls of a batch whose function threw are settled", async () => {
  const world = await startOpen();
  let inner;
  const fail = () => {
    inner = outcome(world.client.__rpc("a/b")());
    throw new Error("mine");
  };
  assert.throws(() => world.client.batch(fail), /mine/);
  assert.equal(await inner, "CANCELLED");
});

test("a hidden page asks for the cursors as well when the connection opens", async () => {
  const world = await start({ page: true });
  world.client.cursor("canvas").subscribe(() => {});
  await world.document.setVisible(false);
  await world.socket.open();
  await settle();
  assert.deepEqual(types(world), ["hello", "cursor-snapshot"]);
});

test("10,000 subscriptions that came and went leave nothing behind", async () => {
  const world = await startOpen({ options: { resumeGraceMs: 0 } });
  const stream = world.client.__stream("a/s", {}, true);
  for (let i = 0; i < 10_000; i++) {
    world.client.on(`t${i}`).subscribe(() => {})();
    world.client.presence(`t${i}`).subscribe(() => {})();
    stream(i).subscribe(() => {})();
  }
  await settle();
  assert.deepEqual(world.clock.waits, []);
  await world.socket.drop();
  await world.clock.advance(3000);
  await world.socket.open();
  await world.clock.advance(100);
  assert.deepEqual(types(world), ["hello"]);
  assert.equal(world.client.quiescent.get(), true);
});
