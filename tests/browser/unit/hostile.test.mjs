// Whatever a server sends, nothing is thrown out of the socket's handler, and the next frame is handled.
import assert from "node:assert/strict";
import test from "node:test";
import { consoleOf, openStream, outcome, record, settle, startOpen } from "./harness.mjs";

/** A client that listens to everything there is, with a call under way. */
async function busyWorld(setup) {
  const world = await startOpen(setup);
  const { client } = world;
  await openStream(world, { data: [{ id: 1 }], seq: 4 });
  await openStream(world, { path: "log/lines", topic: "log", merge: "latest", data: [1] });
  const stores = [
    client.presence("todos"),
    client.cursor("todos"),
    client.group("todos"),
    client.group("todos").members,
    client.onReplay("todos"),
    client.on("todos"),
    client.health,
    client.denials,
    client.resumed,
  ];
  for (const store of stores) store.subscribe(() => {});
  client.onPush("ask", (data) => data);
  await settle();
  return world;
}

async function stillAnswers(world, about) {
  const result = outcome(world.client.__rpc("a/b").fresh());
  await world.socket.reply("a/b", "fine");
  assert.deepEqual(await result, { value: "fine" }, about);
  world.socket.take();
}

const VALUES = ["null", "true", "-1", "1e999", '""', '"x"', "[]", "{}", "[null]", '[{"key":{}}]', '{"reqId":1,"seq":{}}', '{"__proto__":{"x":1}}'];
const TOPICS = ["todos", "log", "__rpc", "__realtime", "__presence:todos", "__cursor:todos", "__group:todos", "__replay:todos", "__proto__"];
const EVENTS = [
  ..."created updated deleted refreshed presence_state presence_diff heartbeat snapshot bulk update remove".split(" "),
  ..."members join leave close msg end denied truncated degraded reload __batch constructor __proto__".split(" "),
];

test("envelopes with any data", async () => {
  const world = await busyWorld();
  const errors = await consoleOf(async () => {
    for (const topic of TOPICS) {
      for (const event of EVENTS) {
        const frames = VALUES.map((data) => `{"topic":"${topic}","event":"${event}","data":${data},"seq":${data}}`);
        await world.socket.receive(...frames, `{"topic":"${topic}","event":"${event}"}`, `{"topic":"${topic}","event":{"a":1}}`);
      }
    }
  });
  await stillAnswers(world);
  assert.deepEqual(errors, []);
  assert.equal(world.client.getCounters().failedFrames, 0);
});

test("control frames with any fields", async () => {
  const world = await busyWorld();
  const names = ["sessionId", "events", "topic", "reason", "ref", "event", "data", "topics"];
  const errors = await consoleOf(async () => {
    for (const type of ["welcome", "batch", "subscribed", "subscribe-denied", "resumed", "request", "ping", "__proto__"]) {
      for (const value of VALUES) {
        const fields = names.map((name) => `"${name}":${value}`);
        await world.socket.receive(`{"type":"${type}",${fields.join(",")}}`, ...fields.map((field) => `{"type":"${type}",${field}}`));
      }
    }
  });
  await stillAnswers(world);
  assert.deepEqual(errors, []);
});

test("replies with any fields settle their call or their stream", async () => {
  for (const value of VALUES) {
    const world = await busyWorld();
    const call = outcome(world.client.__rpc("a/b").fresh(1));
    const { id } = world.socket.request("a/b");
    await world.socket.receive(`{"topic":"__rpc","event":"${id}","data":${value}}`);
    assert.equal(typeof (await call), "string", value);

    const fields = "data topic merge key prepend max seq version hasMore cursor replay delta unchanged channel gated schemaVersion";
    const names = fields.split(" ");
    const stream = world.client.__stream("a/s", {}, false);
    stream.subscribe(() => {});
    await settle();
    const request = world.socket.request("a/s");
    await world.socket.receive(`{"topic":"__rpc","event":"${request.id}","data":{"ok":true,${names.map((name) => `"${name}":${value}`)}}}`);
    assert.notEqual(stream.status.get(), "loading", value);
    await world.socket.event("todos", "created", { id: 2 });
    await stillAnswers(world, value);
  }
});

test("JSON that is nested 100,000 levels deep", async () => {
  const world = await busyWorld();
  const deep = "[".repeat(100_000) + "]".repeat(100_000);
  const stream = world.client.__stream("a/s", {}, false);
  stream.subscribe(() => {});
  await settle();
  const { id } = world.socket.request("a/s");
  await consoleOf(async () => {
    for (const topic of TOPICS) await world.socket.receive(`{"topic":"${topic}","event":"created","data":${deep}}`);
    await world.socket.receive(deep, `{"type":${deep}}`, `{"type":"request","ref":1,"event":"ask","data":${deep}}`);
    await world.socket.receive(`{"topic":"__rpc","event":"${id}","data":{"ok":true,"topic":"log","merge":"latest","data":[${deep}]}}`);
  });
  assert.notEqual(stream.status.get(), "loading");
  await stillAnswers(world);
});

test("a reply that cannot be used is the error STREAM_ERROR, and the stream can be asked again", async () => {
  const world = await startOpen();
  const stream = world.client.__stream("a/s", {}, false);
  const seen = record(stream);
  await settle();
  const JSONstringify = JSON.parse;
  JSON.parse = (text) => {
    const frame = JSONstringify(text);
    if (frame.topic === "__rpc") Object.defineProperty(frame.data, "hasMore", { get: () => { throw new Error("mine"); } });
    return frame;
  };
  try {
    assert.match((await consoleOf(() => world.socket.reply("a/s", []))).join(), /mine/);
  } finally {
    JSON.parse = JSONstringify;
  }
  assert.deepEqual([stream.status.get(), stream.error.get().code], ["error", "STREAM_ERROR"]);
  await world.socket.drop();
  await world.clock.advance(3000);
  await world.socket.open();
  await world.clock.advance(99);
  await world.socket.reply("a/s", [1], { topic: "t", merge: "set" });
  assert.deepEqual([stream.status.get(), stream.error.get(), seen.last], ["connected", null, [1]]);
});

test("an app's callbacks that throw disturb neither the frame nor the next one", async () => {
  const world = await startOpen();
  const boom = () => {
    throw new Error("mine");
  };
  const good = record(world.client.on("t"));
  world.client.on("t").subscribe(boom);
  world.client.onSignal("u1", boom);
  world.client.combine(world.client.on("t"), world.client.status, (last) => (last ? boom() : 1)).subscribe(() => {});
  const lines = await consoleOf(async () => {
    await world.socket.event("t", "x", 1);
    await world.socket.event("__signal:u1", "x", 1);
    await world.socket.event("t", "x", 2);
  });
  assert.equal(good.last.data, 2);
  assert.ok(lines.length >= 3);
});

test("a combination whose function throws at once leaves nothing subscribed", async () => {
  const world = await startOpen();
  const broken = world.client.combine(world.client.on("t"), world.client.on("u"), () => {
    throw new Error("mine");
  });
  assert.throws(() => broken.subscribe(() => {}), /mine/);
  await settle();
  assert.deepEqual(world.socket.take(), []);
});

test("answers that have no JSON form, and errors that are none, become errors of the request", async () => {
  const world = await startOpen();
  const circle = {};
  circle.self = circle;
  const results = { big: () => 5n, circle: () => circle, text: () => Promise.reject("no"), nothing: () => Promise.reject(undefined), odd: () => Promise.reject(Object.create(null)) };
  const errors = [];
  for (const [event, handler] of Object.entries(results)) {
    world.client.onPush(event, handler);
    await world.socket.receive({ type: "request", ref: event, event, data: null });
    const [{ type, ref, error }] = world.socket.take();
    assert.deepEqual([type, ref, typeof error], ["reply", event, "string"]);
    errors.push(error);
  }
  assert.match(errors[0], /BigInt/);
  assert.deepEqual(errors.slice(2), ["no", "the handler failed", "the handler failed"]);
});

test("1000 requests are answered at the same time, further ones refused", async () => {
  const world = await startOpen();
  const waiting = [];
  world.client.onPush("slow", () => new Promise((resolve) => waiting.push(resolve)));
  const ask = (ref) => ({ type: "request", ref, event: "slow", data: null });
  await world.socket.receive(...Array.from({ length: 1001 }, (_, i) => ask(i)));
  assert.deepEqual(world.socket.take(), [{ type: "reply", ref: 1000, error: "too many requests are being answered" }]);
  for (const resolve of waiting) resolve(1);
  await settle();
  assert.equal(world.socket.take().length, 1000);
  await world.socket.receive(ask(2000));
  assert.equal(waiting.length, 1001);
});

test("a page that cannot be used is the error LOAD_MORE_ERROR of its caller", async () => {
  const world = await startOpen();
  const stream = world.client.__stream("a/s", {}, false);
  const seen = record(stream);
  await settle();
  await world.socket.reply("a/s", [{ id: 1 }], { topic: "t", merge: "crud", key: "id", hasMore: true, cursor: "c" });
  const parse = JSON.parse;
  JSON.parse = (text) => {
    const frame = parse(text);
    if (frame.topic === "__rpc") Object.defineProperty(frame.data, "hasMore", { get: () => { throw new Error("mine"); } });
    return frame;
  };
  try {
    const more = outcome(stream.loadMore());
    await settle();
    assert.match((await consoleOf(() => world.socket.reply("a/s", [{ id: 2 }]))).join(), /mine/);
    assert.equal(await more, "LOAD_MORE_ERROR");
  } finally {
    JSON.parse = parse;
  }
  assert.equal(stream.status.get(), "connected");
  assert.deepEqual(seen.last.map(({ id }) => id).slice(0, 1), [1]);
});
