// Recorded sessions of the devtools: what they hold at each of their moments.
import assert from "node:assert/strict";
import test from "node:test";
import { pendingAt, read, single, stateAt, valuesAt, write } from "../../../runtime/client/browser/devtools/session.js";

const reply = (path, data, rest = {}) => ({ dir: "out", kind: "reply", conn: "c", path, ok: true, data, ...rest });
const publish = (topic, event, data) => ({ dir: "pub", kind: "publish", topic, event, data });
const stream = (merge, data, key) => reply("m/s", { data, topic: "t", merge, ...(key ? { key } : {}) });
const valueOf = (...frames) => valuesAt({ frames, snapshots: [] }, frames.length - 1)[0]?.value;

test("a stream's value is what it was loaded with and the events up to the moment", () => {
  const frames = [
    stream("crud", [{ id: 1, n: 1 }], "id"),
    publish("t", "created", { id: 2 }),
    publish("other", "created", { id: 9 }),
    publish("t", "updated", { id: 1, n: 2 }),
    publish("t", "deleted", { id: 2 }),
  ];
  const session = { frames, snapshots: [] };
  const values = frames.map((_, index) => valuesAt(session, index)[0].value);
  assert.deepEqual(values, [
    [{ id: 1, n: 1 }],
    [{ id: 1, n: 1 }, { id: 2 }],
    [{ id: 1, n: 1 }, { id: 2 }],
    [{ id: 1, n: 2 }, { id: 2 }],
    [{ id: 1, n: 2 }],
  ]);
  assert.equal(valuesAt(session, 4)[0].events, 3);
  assert.deepEqual(valuesAt(session, -1), []);
});

test("each merge folds its events as the client does", () => {
  assert.deepEqual(valueOf(stream("crud", [{ id: 1 }]), publish("t", "updated", { id: 2 })), [{ id: 1 }]);
  assert.deepEqual(valueOf(stream("crud", [{ id: 1 }]), publish("t", "created", { id: 1, n: 2 })), [{ id: 1, n: 2 }]);
  assert.deepEqual(valueOf(stream("crud", [{ id: 1 }]), publish("t", "refreshed", [])), []);
  assert.equal(valueOf(stream("set", 1), publish("t", "set", 2)), 2);
  assert.deepEqual(valueOf(stream("latest", [1]), publish("t", "any", 2)), [1, 2]);
  const joined = valueOf(stream("presence", []), publish("t", "join", { key: "a" }), publish("t", "join", { key: "b" }), publish("t", "leave", { key: "a" }));
  assert.deepEqual(joined, [{ key: "b" }]);
  assert.deepEqual(valueOf(stream("presence", [{ key: "a" }]), publish("t", "set", [])), []);
  assert.deepEqual(valueOf(stream("cursor", []), publish("t", "update", { key: "a", x: 1 }), publish("t", "update", { key: "a", x: 2 })), [{ key: "a", x: 2 }]);
  assert.equal(valueOf(stream("crud", "[depth-cap]"), publish("t", "created", { id: 1 })), "[depth-cap]");
  assert.deepEqual(valueOf(reply("m/f", { data: [], topic: "t" }, { ok: false })), undefined);
});

test("calls wait from their frame to their answer, in batches as well", () => {
  const frames = [
    { dir: "in", kind: "call", conn: "c", id: "1", path: "a" },
    { dir: "in", kind: "batch", conn: "c", data: [{ rpc: "b", id: "2", args: [5] }, { rpc: "c", id: "3", args: [] }] },
    { dir: "out", kind: "reply", conn: "d", id: "1", path: "a", ok: true },
    { dir: "out", kind: "batch reply", conn: "c", data: [{ path: "b", id: "2", ok: true, data: 1 }, { path: "c", id: "3", ok: false, code: "X", error: "no" }] },
    { dir: "out", kind: "reply", conn: "c", id: "1", path: "a", ok: true },
  ];
  const waiting = frames.map((_, index) => pendingAt({ frames, snapshots: [] }, index).map(({ path }) => path));
  assert.deepEqual(waiting, [["a"], ["a", "b", "c"], ["a", "b", "c"], ["a"], []]);
  const [, b, c] = single(frames.slice(0, 2));
  assert.deepEqual([b.path, b.data, c.kind], ["b", [5], "call"]);
  const replies = single([frames[3]]);
  assert.deepEqual(replies.map(({ ok, code, data }) => [ok, code, data]), [[true, undefined, 1], [false, "X", { error: "no" }]]);
});

test("a session comes back as it was stored, and nothing else is taken for one", () => {
  const session = { frames: [publish("t", "set", 1)], snapshots: [{ at: 1, state: { n: 1 } }, { at: 5, state: { n: 2 } }] };
  assert.deepEqual(read(write(session)), session);
  assert.deepEqual([0, 1, 4, 5, 9].map((at) => stateAt(session, at).n), [1, 1, 1, 2, 2]);
  assert.equal(stateAt({ frames: [], snapshots: [] }, 1), null);
  assert.throws(() => read("{}"), /holds no session/);
  assert.throws(() => read(JSON.stringify({ format: "realtime-devtools-session", version: 1 })), /damaged/);
  assert.throws(() => read("no json"));
});
