// How events change the value of a stream: wire 5.6, event by event.
import assert from "node:assert/strict";
import test from "node:test";
import { openStream, startOpen } from "./harness.mjs";

const item = (id, text = `t${id}`) => ({ id, text });
const ids = (list) => list.map((entry) => entry.id ?? entry.key);

/** Each case: the reply, then steps of [event, data, value after it]. */
const CASES = {
  "crud: created appends, or replaces in place": [
    { data: [item(1), item(2)] },
    ["created", item(3), [item(1), item(2), item(3)]],
    ["created", item(1, "new"), [item(1, "new"), item(2), item(3)]],
  ],
  "crud: created goes first with prepend, known keys stay where they are": [
    { data: [item(1), item(2)], prepend: true },
    ["created", item(3), [item(3), item(1), item(2)]],
    ["created", item(4), [item(4), item(3), item(1), item(2)]],
    ["updated", item(2, "new"), [item(4), item(3), item(1), item(2, "new")]],
    ["created", item(3, "new"), [item(4), item(3, "new"), item(1), item(2, "new")]],
    ["deleted", { id: 4 }, [item(2, "new"), item(3, "new"), item(1)]],
    ["created", item(5), [item(5), item(2, "new"), item(3, "new"), item(1)]],
  ],
  "crud: max cuts the oldest": [
    { data: [item(1), item(2)], max: 3 },
    ["created", item(3), [item(1), item(2), item(3)]],
    ["created", item(4), [item(2), item(3), item(4)]],
    ["updated", item(1, "gone"), [item(2), item(3), item(4)]],
    ["updated", item(3, "new"), [item(2), item(3, "new"), item(4)]],
    ["created", item(1), [item(3, "new"), item(4), item(1)]],
  ],
  "crud: max cuts the end with prepend": [
    { data: [item(1), item(2)], max: 3, prepend: true },
    ["created", item(3), [item(3), item(1), item(2)]],
    ["created", item(4), [item(4), item(3), item(1)]],
    ["updated", item(2, "gone"), [item(4), item(3), item(1)]],
    ["updated", item(1, "new"), [item(4), item(3), item(1, "new")]],
  ],
  "crud: max 0 is no limit": [
    { data: [], max: 0 },
    ["created", item(1), [item(1)]],
    ["created", item(2), [item(1), item(2)]],
  ],
  "crud: updated of an unknown key is ignored": [
    { data: [item(1)] },
    ["updated", item(1, "new"), [item(1, "new")]],
    ["updated", item(9), [item(1, "new")]],
  ],
  "crud: the last item moves into the gap of a deleted one": [
    { data: [item(1), item(2), item(3), item(4)] },
    ["deleted", { id: 2 }, [item(1), item(4), item(3)]],
    ["updated", item(4, "new"), [item(1), item(4, "new"), item(3)]],
    ["deleted", { id: 3 }, [item(1), item(4, "new")]],
    ["deleted", { id: 9 }, [item(1), item(4, "new")]],
    ["deleted", { id: 1 }, [item(4, "new")]],
    ["deleted", { id: 4 }, []],
    ["created", item(5), [item(5)]],
  ],
  "crud: other events change nothing, whatever their name": [
    { data: [item(1)] },
    ["renamed", item(1, "new"), [item(1)]],
    ["set", [], [item(1)]],
    ["constructor", item(2), [item(1)]],
    ["__proto__", item(2), [item(1)]],
    ["Created", item(2), [item(1)]],
  ],
  "crud: another key field": [
    { data: [{ slug: "a", n: 1 }], key: "slug" },
    ["created", { slug: "b", n: 2 }, [{ slug: "a", n: 1 }, { slug: "b", n: 2 }]],
    ["updated", { slug: "a", n: 3 }, [{ slug: "a", n: 3 }, { slug: "b", n: 2 }]],
    ["deleted", { slug: "a" }, [{ slug: "b", n: 2 }]],
  ],
  "crud: number and text keys are different; items without a key are all kept": [
    { data: [item(1)] },
    ["created", item("1"), [item(1), item("1")]],
    ["created", { text: "a" }, [item(1), item("1"), { text: "a" }]],
    ["created", { text: "b" }, [item(1), item("1"), { text: "a" }, { text: "b" }]],
    ["created", null, [item(1), item("1"), { text: "a" }, { text: "b" }]],
  ],
  "crud: a value that is no list becomes one": [
    { data: null },
    ["created", item(1), [item(1)]],
  ],
  "refreshed replaces the whole value": [
    { data: [item(1)] },
    ["refreshed", [item(2), item(3)], [item(2), item(3)]],
    ["updated", item(1, "gone"), [item(2), item(3)]],
    ["updated", item(3, "new"), [item(2), item(3, "new")]],
  ],
  "latest: every event appends, the last max are kept": [
    { merge: "latest", data: ["a"], max: 3 },
    ["created", "b", ["a", "b"]],
    ["whatever", null, ["a", "b", null]],
    ["created", "d", ["b", null, "d"]],
    ["refreshed", ["x"], ["x"]],
    ["created", "y", ["x", "y"]],
  ],
  "latest: a value that is no list becomes one": [
    { merge: "latest", data: null },
    ["created", 1, [1]],
  ],
  "set: every event replaces the value": [
    { merge: "set", data: 1 },
    ["set", 2, 2],
    ["created", { a: 1 }, { a: 1 }],
    ["refreshed", [3], [3]],
    ["set", null, null],
  ],
  "presence: join, leave, set": [
    { merge: "presence", key: "id", data: [{ key: "u1", data: 1 }, { key: "u2", data: 2 }, { key: "u3", data: 3 }] },
    ["join", { key: "u4", data: 4 }, [{ key: "u1", data: 1 }, { key: "u2", data: 2 }, { key: "u3", data: 3 }, { key: "u4", data: 4 }]],
    ["join", { key: "u2", data: 22 }, [{ key: "u1", data: 1 }, { key: "u2", data: 22 }, { key: "u3", data: 3 }, { key: "u4", data: 4 }]],
    ["leave", { key: "u1" }, [{ key: "u4", data: 4 }, { key: "u2", data: 22 }, { key: "u3", data: 3 }]],
    ["created", { key: "u9" }, [{ key: "u4", data: 4 }, { key: "u2", data: 22 }, { key: "u3", data: 3 }]],
    ["set", [{ key: "u7", data: 7 }], [{ key: "u7", data: 7 }]],
    ["leave", { key: "u7" }, []],
  ],
  "cursor: update, remove, set": [
    { merge: "cursor", data: [] },
    ["update", { key: "a", x: 1 }, [{ key: "a", x: 1 }]],
    ["update", { key: "b", x: 2 }, [{ key: "a", x: 1 }, { key: "b", x: 2 }]],
    ["update", { key: "c", x: 3 }, [{ key: "a", x: 1 }, { key: "b", x: 2 }, { key: "c", x: 3 }]],
    ["update", { key: "a", x: 9 }, [{ key: "a", x: 9 }, { key: "b", x: 2 }, { key: "c", x: 3 }]],
    ["remove", { key: "a" }, [{ key: "c", x: 3 }, { key: "b", x: 2 }]],
    ["join", { key: "d" }, [{ key: "c", x: 3 }, { key: "b", x: 2 }]],
    ["set", [], []],
  ],
};

for (const [name, [reply, ...steps]] of Object.entries(CASES)) {
  test(name, async () => {
    const world = await startOpen();
    const { seen } = await openStream(world, { topic: "t", ...reply });
    for (const [event, data, expected] of steps) {
      await world.socket.event("t", event, data);
      assert.deepEqual(seen.last, expected, event);
    }
  });
}

test("latest keeps 50 unless told otherwise", async () => {
  const world = await startOpen();
  const { seen } = await openStream(world, { merge: "latest", data: [] });
  for (let i = 0; i < 60; i++) await world.socket.event("todos", "created", i);
  assert.deepEqual(seen.last, Array.from({ length: 50 }, (_, i) => i + 10));
});

for (const [merge, event] of [["crud", "created"], ["presence", "join"], ["cursor", "update"]]) {
  test(`${merge}: keys that reach a prototype are taken out of items`, async () => {
    const world = await startOpen();
    const dirty = (key) => `{"id":"${key}","key":"${key}","__proto__":{"admin":true},"constructor":1,"prototype":2,"ok":3}`;
    const { seen } = await openStream(world, { merge, data: JSON.parse(`[${dirty("a")}]`) });
    await world.socket.receive(`{"topic":"todos","event":"${event}","data":${dirty("b")}}`);
    await world.socket.receive(`{"topic":"todos","event":"refreshed","data":[${dirty("c")}]}`);
    for (const list of seen.slice(1)) {
      for (const entry of list) {
        assert.deepEqual(Object.keys(entry), ["id", "key", "ok"]);
        assert.equal(entry.admin, undefined);
      }
    }
    assert.deepEqual(seen.slice(1).map(ids), [["a"], ["a", "b"], ["c"]]);
  });
}

test("set and latest leave the data as it is", async () => {
  const world = await startOpen();
  const { seen } = await openStream(world, { merge: "set", data: 0 });
  await world.socket.receive('{"topic":"todos","event":"set","data":{"constructor":1}}');
  assert.deepEqual(Object.keys(seen.last), ["constructor"]);
});

test("set: the identical value is not announced again", async () => {
  const world = await startOpen();
  const { seen } = await openStream(world, { merge: "set", data: 5 });
  await world.socket.event("todos", "set", 5);
  await world.socket.event("todos", "set", 6);
  assert.deepEqual([...seen], [undefined, 5, 6]);
});

test("a list is a new list with each announcement, and nothing is announced without a change", async () => {
  const world = await startOpen();
  const { seen } = await openStream(world, { data: [item(1)] });
  await world.socket.event("todos", "created", item(2));
  await world.socket.event("todos", "updated", item(9));
  assert.equal(seen.length, 3);
  assert.notEqual(seen[1], seen[2]);
  assert.deepEqual(seen[1], [item(1)], "what was given out before is not touched");
});

// ---------------------------------------------------------------- one frame

test("events of one animation frame are applied together, with one announcement", async () => {
  const world = await startOpen({ frames: true });
  const { seen } = await openStream(world, { data: [item(1)] });
  await world.socket.event("todos", "created", item(2));
  await world.socket.event("todos", "deleted", { id: 1 });
  assert.equal(seen.length, 2);
  world.frame();
  assert.deepEqual([seen.length, seen.last], [3, [item(2)]]);
});

test("of several updates of one key in a frame only the last counts, at its place", async () => {
  const world = await startOpen({ frames: true });
  const { stream, seen } = await openStream(world, { merge: "cursor", data: [] });
  const moves = [["a", 1], ["b", 1], ["a", 2], ["c", 1], ["a", 3]];
  for (const [key, x] of moves) await world.socket.event("todos", "update", { key, x });
  world.frame();
  assert.deepEqual(stream.get(), [{ key: "b", x: 1 }, { key: "c", x: 1 }, { key: "a", x: 3 }]);
  assert.equal(seen.length, 3);
});

test("other events of a frame all apply, in order", async () => {
  const world = await startOpen({ frames: true });
  const { stream } = await openStream(world, { data: [item(1)] });
  await world.socket.event("todos", "updated", item(1, "a"));
  await world.socket.event("todos", "created", item(2, "b"));
  await world.socket.event("todos", "deleted", { id: 1 });
  await world.socket.event("todos", "updated", item(1, "c")); // the last update comes after the deletion
  world.frame();
  assert.deepEqual(stream.get(), [item(2, "b")]);
});

test("latest and set coalesce nothing", async () => {
  const world = await startOpen({ frames: true });
  const { stream } = await openStream(world, { merge: "latest", data: [] });
  for (const key of ["a", "a", "a"]) await world.socket.event("todos", "updated", { key });
  world.frame();
  assert.equal(stream.get().length, 3);
});

test("keys of different types do not stand for each other in a frame", async () => {
  const world = await startOpen({ frames: true });
  const { stream } = await openStream(world, { data: [item(1), item("1")] });
  await world.socket.event("todos", "updated", item(1, "number"));
  await world.socket.event("todos", "updated", item("1", "text"));
  world.frame();
  assert.deepEqual(stream.get(), [item(1, "number"), item("1", "text")]);
});

test("a flood of events does not wait for a frame that never comes", async () => {
  const world = await startOpen({ frames: true });
  const { stream } = await openStream(world, { merge: "latest", data: [], max: 3 });
  const events = Array.from({ length: 10_000 }, (_, i) => ({ topic: "todos", event: "created", data: i }));
  await world.socket.receive({ type: "batch", events });
  assert.deepEqual(stream.get(), [9997, 9998, 9999]);
});

test("a page that is hidden before its frame has its events applied", async () => {
  const world = await startOpen({ frames: true, page: true });
  const { stream } = await openStream(world);
  await world.socket.event("todos", "created", item(1));
  assert.deepEqual(stream.get(), []);
  await world.document.setVisible(false);
  assert.deepEqual(stream.get(), [item(1)]);
});

test("a long prepended list finds its items after many changes", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { data: [], prepend: true, max: 100 });
  const model = [];
  let state = 7;
  const chance = (n) => (state = (state * 1103515245 + 12345) % 2147483648) % n;
  for (let step = 0; step < 2000; step++) {
    const id = chance(150);
    const at = model.findIndex((entry) => entry.id === id);
    const event = ["created", "updated", "deleted"][chance(3)];
    if (event === "created" && at >= 0) model[at] = item(id, step);
    else if (event === "created") model.unshift(item(id, step));
    else if (event === "updated" && at >= 0) model[at] = item(id, step);
    else if (event === "deleted" && at >= 0) {
      const last = model.pop();
      if (at < model.length) model[at] = last;
    }
    model.length = Math.min(model.length, 100);
    world.socket.onmessage({ data: JSON.stringify({ topic: "todos", event, data: item(id, step) }) });
    assert.deepEqual(stream.get(), model);
  }
});
