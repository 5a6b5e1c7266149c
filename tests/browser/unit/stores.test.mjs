// The store contract and derived stores: live 22 to 25.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { consoleOf, openStream, record, settle, start, startOpen } from "./harness.mjs";

/** A store as Svelte makes them, to be used beside ours. */
function writable(value) {
  const subscribers = new Set();
  return {
    subscribers,
    set(next) {
      value = next;
      subscribers.forEach((fn) => fn(value));
    },
    subscribe(fn) {
      subscribers.add(fn);
      fn(value);
      return () => subscribers.delete(fn);
    },
  };
}

test("every store gives a new subscriber its value at once, before subscribe returns", async () => {
  const world = await startOpen();
  const { client } = world;
  const stream = client.__stream("a/b", {}, false);
  const stores = [
    client.status, client.failure, client.denials, client.resumed, client.health, client.quiescent, client.empty,
    client.on("t"), client.onDerived(() => "t", client.status), client.combine(client.status, client.health, (a) => a),
    stream, stream.error, stream.status, stream.when(true), stream.map((x) => x), stream.map((x) => x).map((x) => x),
  ];
  for (const store of stores) {
    let calls = 0;
    const off = store.subscribe(() => calls++);
    assert.equal(calls, 1);
    assert.equal(typeof off, "function");
    off();
    off();
    assert.throws(() => store.subscribe(), TypeError);
    assert.equal(typeof store.get, "function");
  }
});

test("one function may subscribe twice, and each end is its own", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { merge: "set", data: 1 });
  let calls = 0;
  const fn = () => calls++;
  const offs = [stream.subscribe(fn), stream.subscribe(fn)];
  offs[0]();
  await world.socket.event("todos", "set", 2);
  assert.equal(calls, 3);
});

test("a subscriber that throws is reported and disturbs nobody", async () => {
  const world = await startOpen();
  const { stream, seen } = await openStream(world, { merge: "set", data: 1 });
  const lines = await consoleOf(async () => {
    stream.subscribe(() => {
      throw new Error("mine");
    });
    const after = record(stream);
    await world.socket.event("todos", "set", 2);
    assert.deepEqual([seen.last, after.last], [2, 2]);
  });
  assert.equal(lines.length, 2);
});

test("a subscriber that ends another or itself during an announcement is obeyed", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { merge: "set", data: 1 });
  const seen = [];
  let offOther;
  const offSelf = stream.subscribe((value) => {
    seen.push(["self", value]);
    if (value === 2) {
      offSelf();
      offOther();
    }
  });
  offOther = stream.subscribe((value) => seen.push(["other", value]));
  await world.socket.event("todos", "set", 2);
  await world.socket.event("todos", "set", 3);
  assert.deepEqual(seen, [["self", 1], ["other", 1], ["self", 2]]);
});

test("a status store can be used to act on the change it announces", async () => {
  const world = await start();
  const add = world.client.__rpc("a/b");
  world.client.status.subscribe((status) => {
    if (status === "open") add("now open").catch(() => {});
  });
  await world.socket.open();
  assert.deepEqual(world.socket.sent.map((frame) => frame.type ?? frame.args[0]), ["hello", "now open"]);
});

test("on gives the latest event of a topic while subscribed", async () => {
  const world = await startOpen();
  const store = world.client.on("news");
  const seen = record(store);
  await world.socket.event("news", "created", { id: 1 }, 1);
  await world.socket.event("other", "created", { id: 2 }, 1);
  assert.deepEqual([...seen], [null, { topic: "news", event: "created", data: { id: 1 } }]);
  seen.off();
  assert.equal(store.get(), null);
  assert.throws(() => world.client.on(""), TypeError);
});

test("onDerived leaves the old topic and joins the new one; null means none", async () => {
  const world = await startOpen();
  const room = writable("a");
  const store = world.client.onDerived((id) => `room:${id}`, room);
  await settle();
  assert.equal(room.subscribers.size, 0);
  const seen = record(store);
  await settle();
  room.set("b");
  await settle();
  await world.socket.event("room:a", "x", 1);
  await world.socket.event("room:b", "x", 2);
  room.set("b");
  room.set(null);
  await settle();
  assert.deepEqual(seen.filter(Boolean).map((value) => value.data), [2]);
  room.set("c");
  await settle();
  seen.off();
  await settle();
  assert.deepEqual(world.socket.take().map((frame) => `${frame.type} ${frame.topic}`), [
    "subscribe room:a", "unsubscribe room:a", "subscribe room:b", "unsubscribe room:b", "subscribe room:c", "unsubscribe room:c",
  ]);
  assert.equal(room.subscribers.size, 0);
  assert.throws(() => world.client.onDerived("room", room), TypeError);
  assert.throws(() => world.client.onDerived(() => "x", {}), TypeError);
});

test("when is active only while the condition holds", async () => {
  const world = await startOpen();
  const stream = world.client.__stream("a/b", {}, false);
  const condition = writable(false);
  const seen = record(stream.when(condition));
  await settle();
  assert.deepEqual(world.socket.sent, []);
  condition.set(true);
  await settle();
  await world.socket.reply("a/b", [1], { topic: "t", merge: "set" });
  condition.set(1); // still true
  condition.set(false);
  await settle();
  assert.deepEqual([...seen], [undefined, [1], undefined]);
  assert.deepEqual(world.socket.take().map((frame) => frame.type ?? frame.rpc), ["a/b", "subscribe", "unsubscribe"]);
  condition.set(true);
  seen.off();
  assert.equal(condition.subscribers.size, 0);
});

test("when takes a boolean, or a function that is asked once at subscribe", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { merge: "set", data: 5 });
  let answer = false;
  let asked = 0;
  const conditional = stream.when(() => (asked++, answer));
  assert.equal(record(conditional).last, undefined);
  answer = true;
  assert.equal(asked, 1);
  assert.equal(record(stream.when(() => answer)).last, 5);
  assert.equal(record(stream.when(true)).last, 5);
  assert.equal(record(stream.when(0)).last, undefined);
  assert.equal(stream.when(true).get(), 5);
});

test("map maps the items, gives [] without a value, and can be chained", async () => {
  const world = await startOpen({ dev: true });
  const stream = world.client.__stream("a/b", { merge: "crud", key: "id" }, false);
  const doubled = stream.map((entry, index) => entry.id * 2 + index).map((n) => `n${n}`);
  assert.deepEqual(doubled.get(), []);
  const seen = record(doubled);
  await settle();
  await world.socket.reply("a/b", [{ id: 1 }, { id: 2 }], { topic: "t", merge: "crud", key: "id" });
  assert.deepEqual([...seen], [[], ["n2", "n5"]]);
  assert.deepEqual(doubled.get(), ["n2", "n5"]);
  seen.off();
  await settle();
  assert.equal(world.socket.sent.filter((frame) => frame.type === "unsubscribe").length, 1);
  const lines = await consoleOf(async () => {
    const { stream: single } = await openStream(world, { path: "a/c", merge: "set", data: 5 });
    assert.deepEqual(record(single.map((x) => x)).last, []);
  });
  assert.match(lines[0], /a\/c\.map.*no list/);
  assert.throws(() => stream.map("id"), TypeError);
});

test("rune keeps a subscription from the first reading until its release", async () => {
  const world = await startOpen();
  const stream = world.client.__stream("a/b", {}, false);
  const rune = stream.rune();
  await settle();
  assert.deepEqual(world.socket.sent, []);
  assert.equal(rune.current, undefined);
  await settle();
  await world.socket.reply("a/b", 1, { topic: "t", merge: "set" });
  await world.socket.event("t", "set", 2);
  assert.equal(rune.current, 2);
  rune.release();
  rune.release();
  await settle();
  assert.equal(world.socket.sent.at(-1).type, "unsubscribe");
});

test("combine computes lazily from two or more stores, and announces only different results", async () => {
  const world = await start();
  const { combine } = world.client;
  const [a, b] = [writable(1), writable(2)];
  let runs = 0;
  const sum = combine(a, b, (x, y) => (runs++, x + y));
  assert.deepEqual([runs, a.subscribers.size], [0, 0]);
  assert.equal(sum.get(), 3);
  const seen = record(sum);
  assert.equal(runs, 2);
  a.set(2);
  b.set(1);
  b.set(5);
  b.set(5);
  assert.deepEqual([...seen], [3, 4, 3, 7]);
  seen.off();
  assert.deepEqual([a.subscribers.size, b.subscribers.size], [0, 0]);
  assert.throws(() => combine(a, (x) => x), TypeError);
  assert.throws(() => combine(a, b), TypeError);
  assert.throws(() => combine(a, 5, () => 1), TypeError);
});

test("combine takes observables whose subscription is an object", async () => {
  const { client } = await start();
  let ended = 0;
  const observable = { subscribe: (fn) => (fn(2), { unsubscribe: () => ended++ }) };
  const seen = record(client.combine(observable, client.empty, (x) => x * 2));
  assert.equal(seen.last, 4);
  seen.off();
  assert.equal(ended, 1);
});

test("the types declare exactly what the module exports, and every option that it knows", async () => {
  const { client } = await start();
  const types = readFileSync(new URL("../../../runtime/client/browser/realtime.d.ts", import.meta.url), "utf8");
  const declared = [...types.matchAll(/^export (?:const|function|class) (\w+)/gm)].map((match) => match[1]);
  assert.deepEqual([...new Set(declared)].sort(), Object.keys(client).sort());
  for (const [attempt, start] of [[() => client.configure({ x: 1 }), "configure"], [() => client.configure({ offline: { x: 1 } }), "offline"]]) {
    try {
      attempt();
      assert.fail("an unknown option was taken");
    } catch (error) {
      for (const name of error.message.split(" are ")[1].split(", ")) {
        assert.match(types, new RegExp(`^  ${name}\\?: `, "m"), `${start}: ${name} is not declared`);
      }
    }
  }
});
