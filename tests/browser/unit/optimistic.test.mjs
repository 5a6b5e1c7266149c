// Optimistic changes and history: wire 5.7, live 24.1, 24.3, 24.5.
import assert from "node:assert/strict";
import test from "node:test";
import { consoleOf, openStream, outcome, settle, startOpen } from "./harness.mjs";

const item = (id, text = `t${id}`) => ({ id, text });
const created = (data) => ({ event: "created", data });
const texts = (stream) => stream.get().map((entry) => entry.text);

/** An operation that ends when the test says so. */
function operation() {
  const op = {};
  op.run = () => new Promise((resolve, reject) => Object.assign(op, { resolve, reject }));
  return op;
}

// ---------------------------------------------------------------- optimistic

test("optimistic applies an event here; its rollback restores the snapshot, with all that came later", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { data: [item(1)] });
  const rollback = stream.optimistic("created", item(2));
  assert.deepEqual(stream.get(), [item(1), item(2)]);
  await world.socket.event("todos", "updated", item(1, "new"));
  assert.deepEqual(stream.get(), [item(1, "new"), item(2)]);
  rollback();
  assert.deepEqual(stream.get(), [item(1)]);
  assert.deepEqual(world.socket.requests.length, 1, "nothing is sent");
  assert.throws(() => stream.optimistic(), TypeError);
});

test("events that wait for their frame come before an optimistic one", async () => {
  const world = await startOpen({ frames: true });
  const { stream } = await openStream(world, { data: [] });
  await world.socket.event("todos", "created", item(1));
  stream.optimistic("created", item(2));
  assert.deepEqual(stream.get(), [item(1), item(2)]);
});

// ---------------------------------------------------------------- mutate

test("a change is shown at once, and is the server's value when the operation succeeds", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { data: [item(1)] });
  const op = operation();
  const result = stream.mutate(op.run, created(item(2)));
  assert.deepEqual(stream.get(), [item(1), item(2)]);
  op.resolve("done");
  assert.equal(await result, "done");
  assert.deepEqual(stream.get(), [item(1), item(2)]);
  stream.optimistic("updated", item(2, "new"));
  assert.deepEqual(texts(stream), ["t1", "new"]);
});

test("a failure takes the change back and rejects with its error; the server's events stay", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { data: [item(1)] });
  const op = operation();
  const result = outcome(stream.mutate(op.run, { event: "deleted", data: { id: 1 } }));
  assert.deepEqual(stream.get(), []);
  await world.socket.event("todos", "created", item(2));
  assert.deepEqual(texts(stream), ["t2"]);
  op.reject(Object.assign(new Error(), { code: "LOCKED" }));
  assert.equal(await result, "LOCKED");
  assert.deepEqual(stream.get(), [item(1), item(2)]);
});

test("an operation that throws before it waits is a failure", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { data: [] });
  const throwing = () => {
    throw new RangeError("mine");
  };
  await assert.rejects(stream.mutate(throwing, created(item(1))), RangeError);
  assert.deepEqual(stream.get(), []);
});

test("a server event with the same key confirms a change; success does not apply it again", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { data: [] });
  const op = operation();
  const result = stream.mutate(op.run, created(item("x", "mine")));
  await world.socket.event("todos", "created", item("x", "server's"));
  assert.deepEqual(texts(stream), ["server's"]);
  op.resolve();
  await result;
  assert.deepEqual(texts(stream), ["server's"]);
});

test("an event with another key, or a deletion, confirms nothing", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { data: [item(1)] });
  const op = operation();
  const result = stream.mutate(op.run, { event: "updated", data: item(1, "mine") });
  await world.socket.event("todos", "created", item(2));
  await world.socket.event("todos", "updated", item(2, "new"));
  assert.deepEqual(texts(stream), ["mine", "new"]);
  op.resolve();
  await result;
  assert.deepEqual(texts(stream), ["mine", "new"]);
});

test("two changes in flight, one of which fails, are independent", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { data: [item(1)] });
  const [a, b] = [operation(), operation()];
  const first = outcome(stream.mutate(a.run, { event: "updated", data: item(1, "a") }));
  const second = outcome(stream.mutate(b.run, created(item(2, "b"))));
  assert.deepEqual(texts(stream), ["a", "b"]);
  a.reject(new Error("no"));
  await first;
  assert.deepEqual(texts(stream), ["t1", "b"]);
  b.resolve(1);
  assert.deepEqual(await second, { value: 1 });
  assert.deepEqual(texts(stream), ["t1", "b"]);
});

test("two changes of one item are confirmed one after the other, also within one frame", async () => {
  const world = await startOpen({ frames: true });
  const { stream } = await openStream(world, { data: [item(1)] });
  const [a, b] = [operation(), operation()];
  const results = [stream.mutate(a.run, { event: "updated", data: item(1, "a") }), stream.mutate(b.run, { event: "updated", data: item(1, "b") })];
  await world.socket.event("todos", "updated", item(1, "A"));
  await world.socket.event("todos", "updated", item(1, "B"));
  a.resolve();
  b.resolve();
  await Promise.all(results);
  assert.deepEqual(texts(stream), ["B"]);
});

test("a change can be a function of a draft, changed in place or replaced", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { data: [item(1)] });
  const before = stream.get();
  const [a, b] = [operation(), operation()];
  const results = [
    stream.mutate(a.run, (draft) => void draft.push(item(2))),
    stream.mutate(b.run, (draft) => draft.map((entry) => ({ ...entry, text: "all" }))),
  ];
  assert.deepEqual(texts(stream), ["all", "all"]);
  assert.deepEqual(before, [item(1)]);
  await world.socket.event("todos", "created", item(2, "server's"));
  a.resolve();
  b.resolve();
  await Promise.all(results);
  assert.deepEqual(texts(stream), ["all", "all"], "an item that the function and the server added is there once");
});

test("a counter that the server publishes before its reply is not counted twice", async () => {
  for (const frames of [false, true]) {
    const world = await startOpen({ frames });
    const { stream } = await openStream(world, { merge: "set", data: 1 });
    const op = operation();
    const result = stream.mutate(op.run, (n) => n + 1);
    assert.equal(stream.get(), 2);
    await world.socket.event("todos", "set", 2);
    op.resolve();
    await result;
    assert.equal(stream.get(), 2);
    await world.socket.event("todos", "set", 3);
    world.frame();
    assert.equal(stream.get(), 3);
  }
});

test("a load that comes while a change of a whole value is under way contains it", async () => {
  const world = await startOpen();
  const stream = world.client.__stream("a/n", { merge: "set" }, false);
  stream.hydrate(1);
  stream.subscribe(() => {});
  await settle();
  const op = operation();
  const result = stream.mutate(op.run, (n) => n + 1);
  assert.equal(stream.get(), 2);
  await world.socket.reply("a/n", 2, { topic: "n", merge: "set" });
  op.resolve();
  await result;
  assert.equal(stream.get(), 2);
});

test("without an event of the server the outcome of a set stream is kept", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { merge: "set", data: 1 });
  await stream.mutate(async () => {}, (n) => n + 1);
  assert.equal(stream.get(), 2);
});

test("an entry of latest that the server publishes is there once", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { merge: "latest", data: [] });
  const op = operation();
  const result = stream.mutate(op.run, created("hello"));
  assert.deepEqual(stream.get(), ["hello"]);
  await world.socket.event("todos", "created", "hello");
  op.resolve();
  await result;
  assert.deepEqual(stream.get(), ["hello"]);
});

test("refreshed holds what happened before it: a change under way is not put upon it when it succeeds", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { data: [] });
  const op = operation();
  const result = stream.mutate(op.run, created(item("temporary")));
  await world.socket.event("todos", "refreshed", [item(7)]);
  assert.deepEqual(stream.get(), [item(7), item("temporary")]);
  op.resolve();
  await result;
  assert.deepEqual(stream.get(), [item(7)]);
});

test("bad arguments of mutate are errors, and nothing runs", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world);
  let runs = 0;
  const op = async () => runs++;
  await assert.rejects(stream.mutate("x", created(1)), TypeError);
  await assert.rejects(stream.mutate(op), TypeError);
  await assert.rejects(stream.mutate(op, { data: 1 }), TypeError);
  const failing = () => {
    throw new RangeError("mine");
  };
  await assert.rejects(stream.mutate(op, failing), RangeError);
  assert.equal(runs, 0);
});

test("1000 changes may be under way; one more is refused and its operation does not run", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { merge: "set", data: 0 });
  assert.equal(world.client.MAX_OPTIMISTIC_QUEUE_DEPTH, 1000);
  const ops = Array.from({ length: 1000 }, operation);
  const results = ops.map((op) => stream.mutate(op.run, { event: "set", data: 1 }));
  let hasRun = false;
  assert.equal(await outcome(stream.mutate(() => (hasRun = true), { event: "set", data: 2 })), "QUEUE_FULL");
  assert.equal(hasRun, false);
  ops.forEach((op) => op.resolve());
  await Promise.all(results);
  await stream.mutate(async () => {}, { event: "set", data: 3 });
  assert.equal(stream.get(), 3);
});

test("createOptimistic calls and changes, from either side", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { data: [] });
  const add = world.client.__rpc("todos/add");
  const one = add.createOptimistic(stream, ["a"], created(item(1)));
  const two = stream.createOptimistic(add, ["b"], (current, args) => [...current, item(2, args[0])]);
  const addAll = add.createOptimistic(stream, (current, args) => void current.push(item(3, args.join())));
  const three = addAll("c", "d");
  assert.deepEqual(texts(stream), ["t1", "b", "c,d"]);
  assert.deepEqual(world.socket.requests.slice(1).map((frame) => frame.args), [["a"], ["b"], ["c", "d"]]);
  for (const { id } of world.socket.requests.slice(1)) await world.socket.answer(id, { ok: true, data: id });
  assert.equal(new Set(await Promise.all([one, two, three])).size, 3);
});

test("bad arguments of createOptimistic throw at once", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world);
  const add = world.client.__rpc("todos/add");
  assert.throws(() => add.createOptimistic({}, [], created(1)), TypeError);
  assert.throws(() => add.createOptimistic(stream, "a", created(1)), TypeError);
  assert.throws(() => add.createOptimistic(stream, ["a"], null), TypeError);
  assert.throws(() => add.createOptimistic(stream), TypeError);
  assert.throws(() => stream.createOptimistic(() => {}, [], created(1)), TypeError);
});

test("a change function that fails later is reported and left out", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { merge: "set", data: { n: 1 } });
  const op = operation();
  const result = stream.mutate(op.run, (draft) => ({ n: draft.n.valueOf() + 1 }));
  const lines = await consoleOf(() => world.socket.event("todos", "set", { m: 1 }));
  assert.match(lines[0], /callback failed/);
  assert.deepEqual(stream.get(), { m: 1 });
  op.resolve();
  await result;
});

// ---------------------------------------------------------------- history

test("undo and redo walk through the values; a new change cuts the way forward", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { data: [] });
  stream.enableHistory();
  assert.deepEqual([stream.canUndo, stream.canRedo], [false, false]);
  for (const id of [1, 2, 3]) await world.socket.event("todos", "created", item(id));
  stream.undo();
  stream.undo();
  assert.deepEqual(texts(stream), ["t1"]);
  assert.deepEqual([stream.canUndo, stream.canRedo], [true, true]);
  stream.redo();
  assert.deepEqual(texts(stream), ["t1", "t2"]);
  await world.socket.event("todos", "created", item(4));
  assert.deepEqual([texts(stream), stream.canRedo], [["t1", "t2", "t4"], false]);
  for (let i = 0; i < 9; i++) stream.undo();
  assert.deepEqual(stream.get(), []);
  assert.equal(stream.canUndo, false);
  assert.equal(world.socket.requests.length, 1, "nothing is sent");
});

test("undo before enableHistory only enables it", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { data: [item(1)] });
  stream.undo();
  await world.socket.event("todos", "created", item(2));
  stream.undo();
  assert.deepEqual(stream.get(), [item(1)]);
});

test("history keeps as many as asked for, and no list above 200", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { merge: "set", data: 0 });
  stream.enableHistory(3);
  for (let n = 1; n <= 5; n++) await world.socket.event("todos", "set", n);
  for (let i = 0; i < 5; i++) stream.undo();
  assert.equal(stream.get(), 3);
  stream.redo();
  await world.socket.event("todos", "set", new Array(201).fill(0));
  await world.socket.event("todos", "set", new Array(200).fill(0));
  stream.undo();
  assert.equal(stream.get(), 4);
  assert.throws(() => stream.enableHistory(0), RangeError);
});

test("a paused history records nothing until it goes on, and then the value it finds", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { merge: "set", data: 0 });
  stream.enableHistory();
  stream.pauseHistory();
  for (let n = 1; n <= 3; n++) await world.socket.event("todos", "set", n);
  assert.deepEqual([stream.get(), stream.canUndo], [3, false]);
  stream.resumeHistory();
  stream.undo();
  assert.equal(stream.get(), 0);
  stream.redo();
  assert.equal(stream.get(), 3);
});

test("changes of mutate are recorded and undone like the others", async () => {
  const world = await startOpen();
  const { stream } = await openStream(world, { data: [] });
  stream.enableHistory();
  const op = operation();
  const result = stream.mutate(op.run, created(item(1)));
  stream.undo();
  assert.deepEqual(stream.get(), []);
  op.resolve();
  await result;
  await settle();
  assert.deepEqual(stream.get(), [], "what was undone does not come back with the outcome");
});
