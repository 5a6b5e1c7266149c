// Connection status, backoff and close codes: wire 1.5, 1.8, 1.9, 7.1, 7.2.
import assert from "node:assert/strict";
import test from "node:test";
import { consoleOf, outcome, record, settle, start, startOpen } from "./harness.mjs";

test("importing connects nothing; the first use does", async () => {
  const { client, sockets } = await start();
  assert.equal(client.status.get(), "disconnected");
  assert.equal(sockets.length, 0);
  client.__rpc("a/b")().catch(() => {});
  assert.equal(client.status.get(), "connecting");
  assert.equal(sockets.length, 1);
  assert.equal(sockets[0].url, "ws://app.test/ws");
});

test("subscribing to status is a first use, and shows disconnected before connecting", async () => {
  const world = await start();
  const seen = record(world.client.status);
  await world.socket.open();
  assert.deepEqual([...seen], ["disconnected", "connecting", "open"]);
});

test("http addresses become ws addresses", async () => {
  const world = await start({ options: { url: "https://other.test/rt?x=1" } });
  world.client.connect();
  assert.equal(world.socket.url, "wss://other.test/rt?x=1");
});

test("without an address a call says what to do", async () => {
  const { client } = await start({ options: { url: undefined } });
  client.status.subscribe(() => {}); // stays quiet: a page may be rendered on a server
  await assert.rejects(client.__rpc("a/b")(), { code: "CONNECTION_CLOSED", message: /configure\({ url }\)/ });
});

test("a lost connection goes through disconnected and connecting back to open", async () => {
  const world = await startOpen();
  const seen = record(world.client.status);
  await world.socket.drop(1006, "gone");
  assert.deepEqual(world.client.failure.get(), { kind: "ws-close", class: "RETRY", code: 1006, reason: "gone" });
  await world.clock.advance(3000);
  await world.socket.open();
  assert.deepEqual([...seen], ["open", "disconnected", "connecting", "open"]);
  assert.equal(world.client.failure.get(), null);
  assert.equal(world.sockets.length, 2);
});

for (const [random, ranges] of [
  [0, [2250, 4950, 10_890, 23_958, 52_707.6, 115_956.7, 225_000, 225_000]],
  [0.5, [3000, 6600, 14_520, 31_944, 70_276.8, 154_608.9, 300_000, 300_000]],
  [0.999999, [3750, 8250, 18_150, 39_930, 87_846, 193_261.2, 375_000, 375_000]],
]) {
  test(`backoff has the numbers of wire 7.2 with chance ${random}`, async () => {
    const world = await startOpen({ random });
    for (const expected of ranges) {
      await world.socket.drop();
      const [wait] = world.clock.waits;
      assert.ok(Math.abs(wait - expected) < 1, `${wait} is not ${expected}`);
      await world.clock.advance(wait);
      assert.equal(world.client.status.get(), "connecting");
    }
  });
}

test("an open connection starts the backoff anew", async () => {
  const world = await startOpen();
  for (let i = 0; i < 3; i++) {
    await world.socket.drop();
    await world.clock.advance(world.clock.waits[0]);
  }
  await world.socket.open();
  await world.socket.drop();
  assert.equal(world.clock.waits[0], 3000);
});

for (const [random, expected] of [[0, 50], [0.5, 150], [0.999999, 250]]) {
  test(`a restarting server (1012) is tried after 50 to 250 ms, then as ever; chance ${random}`, async () => {
    const world = await startOpen({ random });
    await world.socket.drop(1012, "Handler reloaded");
    assert.equal(Math.round(world.clock.waits[0]), expected);
    await world.clock.advance(expected + 1);
    await world.socket.drop(1006);
    assert.ok(Math.abs(world.clock.waits[0] - 3000 * (0.75 + random / 2)) < 1);
  });
}

test("a server that answers 1012 again and again is not hammered", async () => {
  const world = await startOpen();
  const waits = [];
  for (let i = 0; i < 7; i++) {
    await world.socket.drop(1012);
    waits.push(world.clock.waits[0]);
    await world.clock.advance(world.clock.waits[0]);
    await world.socket.open();
  }
  assert.deepEqual(waits, [150, 150, 150, 150, 150, 3000, 3000]);
  await world.clock.advance(5000);
  await world.socket.drop(1012);
  assert.equal(world.clock.waits[0], 150);
});

for (const code of [1008, 4401, 4403]) {
  test(`close ${code} is terminal`, async () => {
    const world = await startOpen();
    await world.socket.drop(code, "no");
    assert.equal(world.client.status.get(), "failed");
    assert.deepEqual(world.client.failure.get(), { kind: "ws-close", class: "TERMINAL", code, reason: "no" });
    await world.clock.advance(10_000_000);
    assert.equal(world.sockets.length, 1);
  });
}

for (const code of [1000, 1001, 1005, 1006, 1007, 1009, 1011, 1013, 4000, 4404]) {
  test(`close ${code} is retried`, async () => {
    const world = await startOpen();
    await world.socket.drop(code);
    assert.equal(world.client.failure.get().class, "RETRY");
    assert.equal(world.clock.waits[0], 3000);
  });
}

test("close 4429 throttles: the next try is far away", async () => {
  const world = await startOpen();
  await world.socket.drop(4429, "slow down");
  assert.equal(world.client.status.get(), "disconnected");
  assert.equal(world.client.failure.get().class, "THROTTLE");
  assert.ok(Math.abs(world.clock.waits[0] - 154_608.9) < 1);
});

test("close 4429 never makes a wait shorter that had grown beyond it", async () => {
  const world = await start();
  world.client.connect();
  for (let i = 0; i < 7; i++) {
    await world.socket.drop();
    await world.clock.advance(world.clock.waits[0]);
  }
  await world.socket.drop(4429);
  assert.deepEqual(world.clock.waits, [300_000]);
});

test("a throttled connection with a limit of attempts still has its attempts", async () => {
  const world = await startOpen({ options: { maxReconnectAttempts: 2 } });
  await world.socket.drop(4429);
  await world.clock.advance(world.clock.waits[0]);
  assert.equal(world.sockets.length, 2);
  await world.socket.drop();
  assert.equal(world.client.status.get(), "disconnected");
  await world.clock.advance(world.clock.waits[0]);
  await world.socket.drop();
  assert.deepEqual([world.client.status.get(), world.client.failure.get().class], ["failed", "EXHAUSTED"]);
});

test("attempts can be limited", async () => {
  const world = await start({ options: { maxReconnectAttempts: 2 } });
  world.client.connect();
  await world.socket.drop();
  await world.clock.advance(3000);
  await world.socket.drop();
  await world.clock.advance(6600);
  await world.socket.drop();
  assert.equal(world.client.status.get(), "failed");
  assert.equal(world.client.failure.get().class, "EXHAUSTED");
});

test("close() ends it without a failure, and connect() begins anew", async () => {
  const world = await startOpen();
  const first = world.client.connect();
  first.close();
  assert.equal(world.client.status.get(), "failed");
  assert.equal(world.client.failure.get(), null);
  assert.equal(world.sockets[0].closeCode, 1000);
  await assert.rejects(first.ready(), { code: "CONNECTION_CLOSED" });
  const second = world.client.connect();
  assert.notEqual(first, second);
  assert.equal(world.client.connect(), second);
  await world.socket.open();
  await second.ready();
  assert.equal(first.status.get(), "failed");
  assert.equal(world.client.status.get(), "open");
});

test("close() during a wait ends the attempts without a failure", async () => {
  const world = await startOpen();
  await world.socket.drop();
  assert.equal(world.client.failure.get().class, "RETRY");
  world.client.connect().close();
  assert.deepEqual([world.client.status.get(), world.client.failure.get()], ["failed", null]);
  assert.deepEqual(world.clock.waits, []);
  await world.clock.advance(1_000_000);
  assert.equal(world.sockets.length, 1);
});

test("close() after a failure leaves the failure, and a socket that was given up says nothing more", async () => {
  const world = await startOpen();
  const seen = record(world.client.on("news"));
  await world.socket.drop(4403, "no");
  await world.socket.event("news", "created", 1);
  await world.socket.drop(1006);
  assert.equal(world.client.failure.get().code, 4403);
  assert.deepEqual([...seen], [null]);

  const second = world.client.connect();
  await world.socket.drop(4401, "again no");
  second.close();
  assert.equal(world.client.failure.get().code, 4401);
});

test("a socket that cannot be made is tried again, connecting meanwhile", async () => {
  const world = await start();
  world.Socket.refuse = true;
  await consoleOf(async () => world.client.connect());
  assert.equal(world.client.status.get(), "connecting");
  world.Socket.refuse = false;
  await world.clock.advance(3000);
  await world.socket.open();
  assert.equal(world.client.status.get(), "open");
});

test("sockets that cannot be made use up the attempts", async () => {
  const world = await start({ options: { maxReconnectAttempts: 1 } });
  world.Socket.refuse = true;
  await consoleOf(async () => {
    world.client.connect();
    await world.clock.advance(3000);
  });
  assert.equal(world.client.status.get(), "failed");
  assert.deepEqual(world.client.failure.get(), { kind: "ws-close", class: "EXHAUSTED", code: 1006, reason: "no socket" });
});

test("a hidden page suspends; seen again it is open, and streams ask anew", async () => {
  const world = await startOpen({ page: true });
  world.client.__stream("t/list", {}, false).subscribe(() => {});
  await settle();
  await world.socket.reply("t/list", [], { topic: "t", merge: "crud", key: "id" });
  await world.document.setVisible(false);
  assert.equal(world.client.status.get(), "suspended");
  world.socket.take();
  await world.document.setVisible(true);
  assert.equal(world.client.status.get(), "open");
  await world.clock.advance(99);
  assert.deepEqual(world.socket.take().map((frame) => frame.type ?? frame.rpc), ["unsubscribe", "t/list"]);
});

test("a socket that opens in a hidden page is suspended", async () => {
  const world = await start({ page: true });
  await world.document.setVisible(false);
  world.client.connect();
  await world.socket.open();
  assert.equal(world.client.status.get(), "suspended");
  await world.client.connect().ready();
});

test("a page that becomes visible reconnects at once and counts from the start", async () => {
  const world = await startOpen({ page: true });
  for (let i = 0; i < 4; i++) {
    await world.socket.drop();
    if (i < 3) await world.clock.advance(world.clock.waits[0]);
  }
  await world.document.setVisible(false);
  await world.document.setVisible(true);
  assert.equal(world.client.status.get(), "connecting");
  assert.deepEqual(world.clock.waits, [30_000], "only for the socket to open");
  assert.equal(world.sockets.length, 5);
  await world.socket.drop();
  assert.equal(world.clock.waits[0], 3000);
});

test("a page that becomes visible does not disturb an attempt under way, nor a failed connection", async () => {
  const world = await start({ page: true });
  world.client.connect();
  await world.document.setVisible(true);
  assert.equal(world.sockets.length, 1);
  await world.socket.drop(1008);
  await world.document.setVisible(true);
  assert.equal(world.sockets.length, 1);
});

test("a device that is online again reconnects at once and counts from the start", async () => {
  const world = await startOpen({ page: true });
  for (const wait of [3000, 6600, 14_520]) {
    await world.socket.drop(1006);
    assert.ok(world.clock.waits.includes(wait));
    if (wait < 14_520) await world.clock.advance(wait);
  }
  await world.window.dispatch("offline");
  assert.equal(world.sockets.length, 3);
  await world.window.dispatch("online");
  assert.equal(world.sockets.length, 4);
  assert.equal(world.clock.waits.includes(14_520), false);
  await world.socket.drop(1006);
  assert.ok(world.clock.waits.includes(3000));
});

test("being online again reconnects a hidden page too", async () => {
  const world = await startOpen({ page: true });
  await world.document.setVisible(false);
  await world.socket.drop(1006);
  await world.window.dispatch("online");
  assert.equal(world.sockets.length, 2);
});

test("being online again disturbs neither an open connection, nor an attempt under way, nor an ended one", async () => {
  const world = await start({ page: true });
  world.client.connect();
  await world.window.dispatch("online");
  assert.equal(world.sockets.length, 1);
  await world.socket.open();
  await world.window.dispatch("online");
  assert.equal(world.sockets.length, 1);
  assert.equal(world.client.status.get(), "open");
  await world.socket.drop(4401);
  await world.window.dispatch("online");
  assert.equal(world.sockets.length, 1);
  assert.deepEqual(world.window.listeners, []);
});

test("a silent line is dead after 150 s, at the next check", async () => {
  const world = await startOpen();
  await world.clock.advance(120_000);
  await world.socket.receive({ type: "ping" });
  await world.clock.advance(150_000);
  assert.equal(world.client.status.get(), "open");
  await world.clock.advance(30_000);
  assert.equal(world.client.status.get(), "disconnected");
  assert.equal(world.sockets[0].isClosed, true);
  assert.equal(world.sockets[0].closeCode, undefined);
  assert.equal(world.client.failure.get().class, "RETRY");
});

test("onConnect and onDisconnect follow the transitions, not the first connect", async () => {
  const calls = [];
  const options = { onConnect: () => calls.push("connect"), onDisconnect: () => calls.push("disconnect") };
  const world = await startOpen({ options });
  await world.socket.drop();
  await world.clock.advance(3000);
  await world.socket.drop(); // was not open: no second onDisconnect
  await world.clock.advance(6600);
  await world.socket.open();
  assert.deepEqual(calls, ["disconnect", "connect"]);
  await world.socket.drop(4401);
  assert.deepEqual(calls, ["disconnect", "connect", "disconnect"]);
});

test("an end that the app wanted is no onDisconnect", async () => {
  const calls = [];
  const world = await startOpen({ options: { onDisconnect: () => calls.push("disconnect") } });
  world.client.connect().close();
  assert.deepEqual(calls, []);
});

test("beforeReconnect is awaited before each attempt but the first", async () => {
  let release;
  let runs = 0;
  const beforeReconnect = () => (runs++, new Promise((resolve) => (release = resolve)));
  const world = await startOpen({ options: { beforeReconnect } });
  assert.equal(runs, 0);
  await world.socket.drop();
  await world.clock.advance(3000);
  assert.deepEqual([runs, world.sockets.length], [1, 1]);
  release();
  await settle();
  assert.equal(world.sockets.length, 2);
});

test("two short lives in a row give one hint about proxies", async () => {
  const lines = await consoleOf(async () => {
    const world = await startOpen();
    for (let i = 0; i < 4; i++) {
      await world.socket.drop();
      await world.clock.advance(world.clock.waits[0]);
      await world.socket.open();
    }
  });
  assert.equal(lines.filter((line) => line.includes("101 response sets a cookie")).length, 1);
});

// ---------------------------------------------------------------- preflight

function answerFetch(...answers) {
  const requests = [];
  globalThis.fetch = async (url, init) => {
    requests.push({ url, ...init });
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return requests;
}

test("the preflight goes to the socket's host before each attempt", async () => {
  const requests = answerFetch({ status: 204, statusText: "No Content" });
  const world = await start({ options: { url: "wss://app.test/prefix/ws?a=1", auth: true } });
  world.client.connect();
  assert.equal(world.sockets.length, 0);
  await settle();
  await world.socket.open();
  await world.socket.drop();
  await world.clock.advance(3000);
  assert.equal(world.sockets.length, 2);
  assert.deepEqual(requests[0], {
    url: "https://app.test/__ws/auth",
    method: "POST",
    credentials: "include",
    headers: { "x-requested-with": "realtime" },
  });
  assert.equal(requests.length, 2);
});

test("the preflight's path can be another", async () => {
  const requests = answerFetch({ status: 200, statusText: "OK" });
  const world = await start({ options: { auth: "/login/renew" } });
  world.client.connect();
  await settle();
  assert.equal(requests[0].url, "http://app.test/login/renew");
  assert.equal(world.sockets.length, 1);
});

test("a preflight refused with 4xx is terminal", async () => {
  answerFetch({ status: 401, statusText: "Unauthorized" });
  const world = await start({ options: { auth: true } });
  world.client.connect();
  await settle();
  assert.equal(world.client.status.get(), "failed");
  assert.deepEqual(world.client.failure.get(), { kind: "auth-preflight", class: "AUTH", status: 401, reason: "Unauthorized" });
});

test("any other preflight failure is tried again", async () => {
  answerFetch(new TypeError("offline"), { status: 503, statusText: "" }, { status: 204, statusText: "" });
  const world = await start({ options: { auth: true } });
  world.client.connect();
  await settle();
  assert.equal(world.client.status.get(), "disconnected");
  assert.deepEqual(world.client.failure.get(), { kind: "auth-preflight", class: "AUTH", status: 0, reason: "network error" });
  await world.clock.advance(3000);
  assert.deepEqual(world.client.failure.get(), { kind: "auth-preflight", class: "AUTH", status: 503, reason: "HTTP 503" });
  await world.clock.advance(6600);
  assert.equal(world.sockets.length, 1);
});

test("an answer to the preflight that comes after close() opens nothing", async () => {
  let answer;
  globalThis.fetch = () => new Promise((resolve) => (answer = resolve));
  const world = await start({ options: { auth: true } });
  world.client.connect().close();
  answer({ status: 204, statusText: "" });
  await settle();
  assert.equal(world.sockets.length, 0);
});

// ---------------------------------------------------------------- configuration

test("unknown options are errors that name the known ones", async () => {
  const { client } = await start();
  assert.throws(() => client.configure({ timeOut: 5 }), /unknown option 'timeOut'.*timeout/);
  assert.throws(() => client.configure({ offline: { que: true } }), /unknown option 'que'.*queue/);
  assert.throws(() => client.connect({ uri: "x" }), /unknown option 'uri'.*url/);
});

test("values out of range are errors that name the option and its bound", async () => {
  const { client } = await start();
  assert.throws(() => client.configure({ timeout: 0 }), /timeout must be a number from 1 on, not 0/);
  assert.throws(() => client.configure({ resumeGraceMs: "soon" }), /resumeGraceMs must be a number from 0 on, not soon/);
  assert.throws(() => client.configure({ offline: { maxQueue: 0 } }), /maxQueue/);
  assert.throws(() => client.configure({ offline: { replay: "backwards" } }), /replay must be one of sequential/);
  assert.throws(() => client.connect({ reconnectInterval: NaN }), /reconnectInterval/);
  client.configure({ timeout: undefined, maxReconnectAttempts: Infinity, url: "ws://app.test/ws" });
});

test("another address moves the connection, with its topics", async () => {
  const world = await startOpen();
  world.client.on("news").subscribe(() => {});
  await settle();
  world.client.configure({ url: "ws://second.test/ws" });
  assert.equal(world.sockets[0].isClosed, true);
  assert.equal(world.socket.url, "ws://second.test/ws");
  await world.socket.open();
  assert.deepEqual(world.socket.sent[1].topics, ["news"]);
  assert.equal(world.client.status.get(), "open");
});

test("waits, attempts and the hook may be configured anew while the connection lives", async () => {
  const world = await startOpen();
  let runs = 0;
  const url = "ws://app.test/ws";
  world.client.configure({ url, reconnectInterval: 100, maxReconnectInterval: 150, maxReconnectAttempts: 2, beforeReconnect: () => runs++ });
  assert.equal(world.sockets.length, 1);
  await world.socket.drop();
  assert.equal(world.clock.waits[0], 100);
  await world.clock.advance(100);
  assert.equal(runs, 1);
  await world.socket.drop();
  assert.equal(world.clock.waits[0], 150);
  await world.clock.advance(150);
  await world.socket.drop();
  assert.equal(world.client.status.get(), "failed");
});

test("calls that wait when the address changes are told that their connection was lost", async () => {
  const world = await start();
  const result = outcome(world.client.__rpc("a/b")(1));
  world.client.configure({ url: "ws://second.test/ws" });
  assert.equal(await result, "DISCONNECTED");
});

test("what the server sends that makes no sense is ignored", async () => {
  const world = await startOpen();
  await world.socket.receive("{", "null", "17", '"x"', "[]", '{"topic":7,"event":"x"}', '{"type":"batch","events":[null,3,{"topic":9}]}');
  await world.socket.receive({ type: "subscribe-denied", topic: 4, reason: "X" }, { type: "welcome" }, { type: "never heard" });
  await world.socket.receive("x".repeat(1_048_577));
  assert.equal(world.client.status.get(), "open");
  assert.deepEqual(
    [world.client.getCounters().unreadableFramesDropped, world.client.getCounters().oversizedFramesDropped],
    [1, 1]
  );
});
