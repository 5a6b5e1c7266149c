// RPC stubs, batches and fire-and-forget: live 23.1 to 23.4, wire 4.
import assert from "node:assert/strict";
import test from "node:test";
import { consoleOf, outcome, record, settle, start, startOpen } from "./harness.mjs";

test("a call sends path, id and arguments, and gives the reply's data", async () => {
  const world = await startOpen();
  const add = world.client.__rpc("todos/add");
  const promise = add({ text: "milk" }, 2);
  const [frame] = world.socket.sent;
  assert.deepEqual(Object.keys(frame), ["rpc", "id", "args"]);
  assert.deepEqual([frame.rpc, frame.args], ["todos/add", [{ text: "milk" }, 2]]);
  await world.socket.reply("todos/add", { id: 1 });
  assert.deepEqual(await promise, { id: 1 });
});

test("ids are all different", async () => {
  const world = await startOpen();
  const call = world.client.__rpc("a/b").fresh;
  for (let i = 0; i < 100; i++) call(i).catch(() => {});
  const ids = world.socket.sent.map((frame) => frame.id);
  assert.equal(new Set(ids).size, 100);
  assert.ok(ids.every((id) => /^[0-9a-z]{2,8}$/.test(id)));
});

test("an error reply rejects with code, message, issues and data", async () => {
  const world = await startOpen();
  const caught = world.client.__rpc("a/b")().catch((e) => e);
  await world.socket.answer(world.socket.request("a/b").id, {
    ok: false,
    code: "VALIDATION",
    error: "Validation failed",
    issues: [{ path: ["text"], message: "Required" }],
    data: { hint: 1 },
  });
  const error = await caught;
  assert.ok(error instanceof world.client.RpcError && error instanceof Error);
  assert.deepEqual([error.code, error.message, error.issues, error.data], [
    "VALIDATION",
    "Validation failed",
    [{ path: ["text"], message: "Required" }],
    { hint: 1 },
  ]);
});

test("a reply without code or text is UNKNOWN", async () => {
  const world = await startOpen();
  const rejection = assert.rejects(world.client.__rpc("a/b")(), { code: "UNKNOWN", message: "Unknown error" });
  await world.socket.answer(world.socket.request("a/b").id, { ok: false });
  await rejection;
});

test("a traceback in a reply is announced to the page", async () => {
  const world = await startOpen();
  const events = [];
  globalThis.window = { dispatchEvent: (event) => events.push(event.detail) };
  globalThis.CustomEvent ??= class { constructor(type, { detail }) { Object.assign(this, { type, detail }); } };
  try {
    const result = outcome(world.client.__rpc("a/b")());
    const body = { ok: false, code: "INTERNAL_ERROR", error: "Internal server error", data: { traceback: "Traceback..." } };
    await world.socket.answer(world.socket.request("a/b").id, body);
    assert.equal(await result, "INTERNAL_ERROR");
    assert.deepEqual(events, [
      { path: "a/b", code: "INTERNAL_ERROR", message: "Internal server error", traceback: "Traceback..." },
    ]);
  } finally {
    delete globalThis.window;
  }
});

test("identical calls of one microtask share a request; fresh, other arguments and later ones do not", async () => {
  const world = await startOpen();
  const get = world.client.__rpc("a/get");
  const [one, two, three] = [get({ x: 1 }), get({ x: 1 }), get({ x: 2 })];
  const fresh = get.fresh({ x: 1 });
  assert.deepEqual(world.socket.sent.map((frame) => frame.args[0].x), [1, 2, 1]);
  const [first, second, third] = world.socket.take();
  await Promise.resolve();
  const later = get({ x: 1 });
  const [fourth] = world.socket.take();
  for (const [frame, value] of [[first, "a"], [second, "b"], [third, "c"], [fourth, "d"]]) {
    await world.socket.answer(frame.id, { ok: true, data: value });
  }
  assert.deepEqual(await Promise.all([one, two, three, fresh, later]), ["a", "a", "b", "c", "d"]);
});

test("sharing is mentioned once per path under the dev server", async () => {
  const world = await startOpen({ dev: true });
  const lines = await consoleOf(() => {
    const get = world.client.__rpc("a/get");
    for (let i = 0; i < 3; i++) get(1).catch(() => {});
  });
  assert.equal(lines.length, 1);
  assert.match(lines[0], /'a\/get'.*fresh/);
});

test("arguments that JSON cannot carry are refused, or mentioned under the dev server", async () => {
  const world = await startOpen({ dev: true });
  const call = world.client.__rpc("a/b");
  const cycle = {};
  cycle.self = cycle;
  await consoleOf(async () => assert.equal(await outcome(call(cycle)), "INVALID_REQUEST"));
  await consoleOf(async () => assert.equal(await outcome(call(1n)), "INVALID_REQUEST"));
  assert.deepEqual(world.socket.sent, []);
  const lines = await consoleOf(() => void call(undefined, () => {}).catch(() => {}));
  assert.equal(lines.length, 2);
  assert.deepEqual(world.socket.sent[0].args, [null, null]);
});

test("with() carries a key and a time limit; calls with one key share; without options it is the call itself", async () => {
  const world = await startOpen();
  const pay = world.client.__rpc("pay/charge");
  assert.equal(pay.with({}), pay);
  assert.throws(() => pay.with({ timeOut: 1 }), /unknown option 'timeOut'/);
  const one = pay.with({ idempotencyKey: "order-7" })(100);
  const two = pay.with({ idempotencyKey: "order-7" })(200);
  const other = pay.with({ idempotencyKey: "order-8", timeout: 500 })(100);
  const frames = world.socket.take();
  assert.deepEqual(frames.map((frame) => [frame.args, frame.idempotencyKey]), [[[100], "order-7"], [[100], "order-8"]]);
  await world.socket.answer(frames[0].id, { ok: true, data: "paid" });
  assert.deepEqual(await Promise.all([one, two]), ["paid", "paid"]);
  const result = outcome(other);
  await world.clock.advance(499);
  await world.clock.advance(1);
  assert.equal(await result, "TIMEOUT");
});

test("a signal rejects here and leaves the others alone", async () => {
  const world = await startOpen();
  const call = world.client.__rpc("a/b");
  const controller = new AbortController();
  const aborted = call.with({ signal: controller.signal })(1);
  const shared = call(1);
  controller.abort();
  assert.equal(await outcome(aborted), "CANCELLED");
  assert.equal(world.socket.sent.length, 1);
  await world.socket.reply("a/b", 5);
  assert.equal(await shared, 5);
  assert.equal(await outcome(call.with({ signal: controller.signal })(2)), "CANCELLED");
  assert.equal(world.socket.sent.length, 1, "nothing is sent for a signal that was aborted before");
});

test("no reply in 30 s is TIMEOUT; the late reply is ignored", async () => {
  const world = await startOpen();
  const result = world.client.__rpc("a/b")().catch((e) => e);
  await world.clock.advance(29_999);
  await world.clock.advance(1);
  const error = await result;
  assert.deepEqual([error.code, error.message], ["TIMEOUT", "RPC 'a/b' timed out after 30s"]);
  await world.socket.reply("a/b", "late");
});

test("the time limit can be configured", async () => {
  const world = await startOpen({ options: { timeout: 1500 } });
  const result = world.client.__rpc("a/b")().catch((e) => e);
  await world.clock.advance(1500);
  assert.equal((await result).message, "RPC 'a/b' timed out after 1.5s");
});

test("a timer that fires far too late means a sleeping device: DISCONNECTED", async () => {
  const world = await startOpen();
  const result = outcome(world.client.__rpc("a/b")());
  world.clock.sleep(90_001);
  await world.clock.advance(0);
  assert.equal(await result, "DISCONNECTED");
});

for (const [timeout, late, single, others] of [
  [30_000, 90_000, "TIMEOUT", "TIMEOUT"],
  [60_000, 90_001, "TIMEOUT", "DISCONNECTED"],
  [60_000, 180_001, "DISCONNECTED", "DISCONNECTED"],
  [120_000, 120_000, "TIMEOUT", "TIMEOUT"],
  [120_000, 360_001, "DISCONNECTED", "DISCONNECTED"],
]) {
  test(`a limit of ${timeout} ms that fires after ${late} ms: ${single} for a call, ${others} for batches and streams`, async () => {
    const world = await startOpen({ options: { timeout } });
    const call = world.client.__rpc("a/b");
    const stream = world.client.__stream("a/s", {}, false);
    stream.subscribe(() => {});
    const results = [outcome(call(1)), outcome(world.client.batch(() => [call(2), call(3)]))];
    await settle();
    world.clock.sleep(late);
    await world.clock.advance(0);
    assert.deepEqual(await Promise.all(results), [single, others]);
    assert.equal(stream.error.get().code, others);
  });
}

test("a connection that ends over a message that is too large says so", async () => {
  const world = await startOpen();
  const result = world.client.__rpc("a/b")("x".repeat(70_000)).catch((e) => e);
  const lines = await consoleOf(() => world.socket.drop(1009, "Message too big"));
  const error = await result;
  const why = "a message was larger than the server takes ([websocket] max_payload_length)";
  assert.deepEqual([error.code, error.message], ["DISCONNECTED", `The connection was lost: ${why}`]);
  assert.deepEqual(lines, [`[realtime] the server closed the connection: ${why}`]);
  const later = world.client.__rpc("a/b")(1).catch((e) => e);
  await world.clock.advance(3000);
  await world.socket.drop();
  assert.equal((await later).message, "The connection was lost before the answer came");
});

test("a lost connection rejects what was sent and what waits; what waits is sent all the same", async () => {
  const world = await startOpen();
  const call = world.client.__rpc("a/b");
  const sent = outcome(call(1));
  await world.socket.drop();
  assert.equal(await sent, "DISCONNECTED");
  const queued = outcome(call(2));
  await world.clock.advance(3000);
  await world.socket.drop();
  assert.equal(await queued, "DISCONNECTED");
  await world.clock.advance(6600);
  await world.socket.open();
  assert.deepEqual(world.socket.requests.map((frame) => frame.args), [[2]]);
});

test("a terminal close rejects everything that waits with CONNECTION_CLOSED, and later calls at once", async () => {
  const world = await startOpen({ options: { offline: { queue: true } } });
  const { __rpc, __stream, batch } = world.client;
  const call = __rpc("a/b");
  const stream = __stream("a/s", {}, false);
  stream.subscribe(() => {});
  const pending = [outcome(call(1)), outcome(batch(() => [call(2), call(3)]))];
  await settle();
  await world.socket.drop(4401, "unauthorized");
  assert.deepEqual(await Promise.all(pending), ["CONNECTION_CLOSED", "CONNECTION_CLOSED"]);
  assert.equal(stream.status.get(), "error");
  assert.equal(stream.error.get().code, "CONNECTION_CLOSED");
  assert.equal(await outcome(call(4)), "CONNECTION_CLOSED");
  assert.equal(await outcome(batch(() => [call(5), call(6)])), "CONNECTION_CLOSED");
  const other = __stream("a/t", {}, false);
  other.subscribe(() => {});
  assert.equal(other.error.get().code, "CONNECTION_CLOSED");
  assert.equal(world.sockets.length, 1);
});

test("a new connection after the end loads the streams again", async () => {
  const world = await startOpen();
  const stream = world.client.__stream("a/s", {}, false);
  const seen = record(stream);
  await settle();
  await world.socket.reply("a/s", [1], { topic: "a", merge: "set" });
  await world.socket.drop(1008);
  assert.equal(stream.status.get(), "error");
  world.client.connect();
  await world.socket.open();
  await world.clock.advance(99);
  await world.socket.reply("a/s", [2], { topic: "a", merge: "set" });
  assert.deepEqual([seen.last, stream.status.get(), stream.error.get()], [[2], "connected", null]);
});

// ---------------------------------------------------------------- batches

test("an empty batch sends nothing and gives an empty list", async () => {
  const world = await startOpen();
  assert.deepEqual(await world.client.batch(() => {}), []);
  assert.deepEqual(world.socket.sent, []);
});

test("a batch of one is a plain frame", async () => {
  const world = await startOpen();
  const call = world.client.__rpc("a/b");
  const result = world.client.batch(() => [call(1)]);
  assert.deepEqual([world.socket.sent.length, world.socket.sent[0].rpc], [1, "a/b"]);
  await world.socket.reply("a/b", "x");
  assert.deepEqual(await result, ["x"]);
});

test("a batch is one frame; results in order, each call settles alone, issues are kept", async () => {
  const world = await startOpen();
  const { __rpc, batch } = world.client;
  let inner;
  const result = outcome(batch(() => (inner = [__rpc("a/x")(1), __rpc("a/y")(2), __rpc("a/x")(1)])));
  const [{ batch: entries, sequential }] = world.socket.take();
  assert.deepEqual([entries.map((entry) => entry.args), sequential], [[[1], [2], [1]], undefined]);
  const issues = [{ path: ["n"], message: "no" }];
  await world.socket.event("__rpc", "__batch", {
    batch: [
      { id: entries[2].id, ok: true, data: "third" },
      { id: entries[0].id, ok: true, data: "first" },
      { id: entries[1].id, ok: false, code: "VALIDATION", error: "Validation failed", issues },
    ],
  });
  assert.equal(await result, "VALIDATION");
  assert.deepEqual(await Promise.all([inner[0], inner[2]]), ["first", "third"]);
  assert.deepEqual((await inner[1].catch((e) => e)).issues, issues);
});

test("a batch can be sequential, and be answered in parts", async () => {
  const world = await startOpen();
  const call = world.client.__rpc("a/b");
  const result = world.client.batch(() => [call(1), call(2)], { sequential: true });
  const [{ batch: entries, sequential }] = world.socket.take();
  assert.equal(sequential, true);
  for (const [i, entry] of entries.entries()) {
    await world.socket.event("__rpc", "__batch", { batch: [{ id: entry.id, ok: true, data: i }] });
  }
  assert.deepEqual(await result, [0, 1]);
});

for (const [count, isSent] of [[50, true], [51, false]]) {
  test(`a batch of ${count} calls is ${isSent ? "sent" : "refused before sending"}`, async () => {
    const world = await startOpen();
    const call = world.client.__rpc("a/b");
    const result = outcome(world.client.batch(() => Array.from({ length: count }, (_, i) => call(i))));
    if (isSent) {
      assert.equal(world.socket.sent[0].batch.length, 50);
      return;
    }
    assert.equal(await result, "INVALID_REQUEST");
    assert.deepEqual(world.socket.sent, []);
  });
}

test("one timer ends the whole batch", async () => {
  const world = await startOpen();
  const call = world.client.__rpc("a/b");
  const result = world.client.batch(() => [call(1), call.with({ timeout: 10 })(2)]).catch((e) => e);
  await world.clock.advance(29_999);
  await world.clock.advance(1);
  const error = await result;
  assert.deepEqual([error.code, error.message], ["TIMEOUT", "Batch timed out"]);
});

test("a batch of which a part was answered still times out for the rest, and leaves no timer when done", async () => {
  const world = await startOpen();
  const call = world.client.__rpc("a/b");
  let inner;
  const result = outcome(world.client.batch(() => (inner = [call(1), call(2)])));
  const [first] = world.socket.requests;
  await world.socket.event("__rpc", "__batch", { batch: [{ id: first.id, ok: true, data: "one" }] });
  assert.equal(await inner[0], "one");
  assert.deepEqual(world.clock.waits, [30_000]);
  await world.clock.advance(30_000);
  assert.equal(await result, "TIMEOUT");
  const single = call(3);
  await world.socket.reply("a/b", "three");
  assert.equal(await single, "three");
  assert.deepEqual(world.clock.waits, []);
});

test("a function that throws sends nothing, and calls after it are plain again", async () => {
  const world = await startOpen();
  const call = world.client.__rpc("a/b");
  const fail = () => {
    call(1);
    throw new RangeError("mine");
  };
  assert.throws(() => world.client.batch(fail), RangeError);
  assert.deepEqual(world.socket.sent, []);
  call(2).catch(() => {});
  assert.deepEqual(world.socket.sent[0].args, [2]);
});

// ---------------------------------------------------------------- fire and forget

test("fireAndForget has no id and gives undefined", async () => {
  const world = await startOpen();
  assert.equal(world.client.__rpc("c/move").fireAndForget("b1", { x: 3 }), undefined);
  assert.deepEqual(world.socket.take(), [{ rpc: "c/move", args: ["b1", { x: 3 }] }]);
});

test("fireAndForget is dropped offline, when too much waits, and after the end", async () => {
  const world = await start();
  const move = world.client.__rpc("c/move");
  move.fireAndForget(1);
  await world.socket.open();
  world.socket.take();
  world.socket.bufferedAmount = 4_194_304;
  move.fireAndForget(2);
  world.socket.bufferedAmount++;
  move.fireAndForget(3);
  assert.deepEqual(world.socket.take().map((frame) => frame.args), [[2]]);
  await world.socket.drop(1008);
  move.fireAndForget(4);
  assert.equal(world.client.getCounters().volatileDropped, 3);
  assert.equal(world.sockets.length, 1);
});

test("fireAndForget inside a batch throws under the dev server and is ignored elsewhere", async () => {
  for (const dev of [true, false]) {
    const world = await startOpen({ dev });
    const run = () => world.client.batch(() => world.client.__rpc("c/move").fireAndForget(1));
    if (dev) assert.throws(run, /cannot be part of a batch/);
    else assert.deepEqual(await run(), []);
    assert.deepEqual(world.socket.sent, []);
  }
});
