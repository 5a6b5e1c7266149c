// Lines that die without a word, sockets that never open, devices that sleep, hidden pages: wire 1.8, 7.1.
import assert from "node:assert/strict";
import test from "node:test";
import { openStream, record, settle, start, startOpen } from "./harness.mjs";

test("a socket that does not open within 30 s is given up and tried again with backoff", async () => {
  const world = await start();
  const seen = record(world.client.status);
  await world.clock.advance(29_999);
  assert.equal(world.client.status.get(), "connecting");
  await world.clock.advance(1);
  const failure = { kind: "ws-close", class: "RETRY", code: 1006, reason: "the server does not answer" };
  assert.deepEqual(world.client.failure.get(), failure);
  assert.equal(world.sockets[0].isClosed, true);
  await world.sockets[0].open(); // too late
  assert.equal(world.client.status.get(), "disconnected");
  await world.clock.advance(3000);
  await world.socket.open();
  await world.clock.advance(60_000);
  assert.deepEqual([...seen], ["disconnected", "connecting", "disconnected", "connecting", "open"]);
});

test("a device that slept finds out when the page is seen again, and reconnects at once", async () => {
  const world = await startOpen({ page: true });
  await world.document.setVisible(false);
  world.clock.sleep(3_600_000);
  const seen = record(world.client.status);
  await world.document.setVisible(true);
  assert.deepEqual([...seen], ["suspended", "disconnected", "connecting"]);
  assert.equal(world.sockets.length, 2);
  await world.socket.open();
  assert.equal(seen.last, "open");
});

test("a page seen again after a short time keeps its line", async () => {
  const world = await startOpen({ page: true });
  await world.document.setVisible(false);
  world.clock.sleep(149_000);
  await world.document.setVisible(true);
  assert.deepEqual([world.client.status.get(), world.sockets.length], ["open", 1]);
});

test("any message is a sign of life, also one that means nothing", async () => {
  const world = await startOpen();
  for (let i = 0; i < 5; i++) {
    await world.clock.advance(140_000);
    await world.socket.receive("{");
  }
  assert.equal(world.sockets.length, 1);
  await world.clock.advance(150_001);
  assert.equal(world.client.status.get(), "open", "looked at every 30 s");
  await world.clock.advance(20_000);
  assert.equal(world.client.status.get(), "disconnected");
});

test("while suspended frames flow, and a loss goes through disconnected and back to suspended", async () => {
  const world = await startOpen({ page: true });
  const { seen } = await openStream(world, { data: [{ id: 1 }] });
  await world.document.setVisible(false);
  await world.socket.event("todos", "created", { id: 2 });
  assert.equal(seen.last.length, 2);
  const statuses = record(world.client.status);
  await world.socket.drop();
  await world.clock.advance(3000);
  await world.socket.open();
  assert.deepEqual([...statuses], ["suspended", "disconnected", "connecting", "suspended"]);
  await world.document.setVisible(true);
  assert.equal(statuses.last, "open");
});

test("a connection that comes back in a hidden page is used as any other", async () => {
  let connects = 0;
  const options = { offline: { queue: true }, onConnect: () => connects++ };
  const world = await startOpen({ page: true, options });
  const { stream } = await openStream(world, { data: [{ id: 1 }], seq: 40 });
  await world.socket.event("__realtime", "degraded", {});
  await world.document.setVisible(false);
  await world.socket.drop();
  world.client.__rpc("a/b")().catch(() => {});
  await world.clock.advance(3000);
  await world.socket.open();
  await world.clock.advance(99);
  assert.equal(world.client.status.get(), "suspended");
  assert.deepEqual([connects, world.client.health.get(), stream.status.get()], [1, "healthy", "reconnecting"]);
  assert.deepEqual(world.socket.requests.map((request) => [request.rpc, request.seq]), [["a/b", undefined], ["todos/list", 40]]);
});

test("a terminal close of a suspended connection is failed, and showing the page does not revive it", async () => {
  const world = await startOpen({ page: true });
  await world.document.setVisible(false);
  await world.socket.drop(4403);
  await world.document.setVisible(true);
  assert.deepEqual([world.client.status.get(), world.sockets.length], ["failed", 1]);
});

test("a preflight that is refused with 4xx while hidden stays failed when the page is shown", async () => {
  globalThis.fetch = async () => ({ status: 403, statusText: "Forbidden" });
  const world = await start({ page: true, options: { auth: true } });
  await world.document.setVisible(false);
  world.client.connect();
  await settle();
  await world.document.setVisible(true);
  assert.deepEqual([world.client.status.get(), world.sockets.length], ["failed", 0]);
});

test("a preflight that does not answer is given up after 30 s as a network error", async () => {
  globalThis.fetch = () => new Promise(() => {});
  const world = await start({ options: { auth: true } });
  world.client.connect();
  await world.clock.advance(30_000);
  const failure = { kind: "auth-preflight", class: "AUTH", status: 0, reason: "network error" };
  assert.deepEqual([world.client.status.get(), world.client.failure.get()], ["disconnected", failure]);
});

test("attempts at the same time share one preflight", async () => {
  let requests = 0;
  let answer;
  globalThis.fetch = () => (requests++, new Promise((resolve) => (answer = resolve)));
  const world = await start({ options: { auth: true } });
  world.client.connect();
  world.client.connect().close();
  world.client.connect();
  assert.equal(requests, 1);
  answer({ status: 204, statusText: "" });
  await settle();
  assert.equal(world.sockets.length, 1);
});
