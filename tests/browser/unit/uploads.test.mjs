// Binary calls and uploads: frames, pacing, progress, ends of every kind. Spec: live 23.6, wire 4.6 and 4.7.
import assert from "node:assert/strict";
import test from "node:test";
import { ADDRESS, consoleOf, outcome, settle, start, startOpen } from "./harness.mjs";

/** Sources are read asynchronously, a piece at a time. */
async function read() {
  for (let i = 0; i < 20; i++) await settle();
}

const configure = (world, upload) => world.client.configure({ url: ADDRESS, upload });
const bytes = (text) => new TextEncoder().encode(text);
const toHex = (frame) => Buffer.from(frame).toString("hex");
const binary = (world) => world.socket.sent.filter((frame) => frame instanceof Uint8Array);
const reply = (world, id, data) => world.socket.receive({ topic: "__upload", event: id, data });

/** The parts of a chunk frame. */
function parsed(frame) {
  const view = new DataView(frame.buffer, frame.byteOffset);
  const hasArgs = (frame[1] & 1) === 1;
  const length = hasArgs ? view.getUint16(10) : 0;
  const start = hasArgs ? 12 + length : 10;
  return {
    type: frame[0],
    last: (frame[1] & 2) === 2,
    id: view.getUint32(2),
    seq: view.getUint32(6),
    header: hasArgs ? JSON.parse(new TextDecoder().decode(frame.subarray(12, start))) : null,
    payload: Buffer.from(frame.subarray(start)).toString(),
  };
}

test("a binary call is the frame of the specification, byte for byte", async () => {
  const world = await startOpen();
  const call = world.client.__binaryRpc("img/thumb");
  const result = call(new Uint8Array([0xff, 0xd8]), 128);
  await read();
  const [frame] = binary(world);
  const length = (frame[1] << 8) | frame[2];
  const header = new TextDecoder().decode(frame.subarray(3, 3 + length));
  const { id } = JSON.parse(header);
  assert.equal(header, `{"rpc":"img/thumb","id":"${id}","args":[128]}`);
  assert.deepEqual([frame[0], ...frame.subarray(3 + length)], [0, 0xff, 0xd8]);
  await world.socket.receive({ topic: "__rpc", event: id, data: { ok: true, data: { w: 128 } } });
  assert.deepEqual(await result, { w: 128 });
});

test("a binary call takes buffers, views and blobs, and leaves out empty arguments", async () => {
  const world = await startOpen();
  const call = world.client.__binaryRpc("a/b");
  const whole = bytes("0123456789");
  for (const payload of [whole.buffer, whole.subarray(2, 4), new DataView(whole.buffer, 4, 2), new Blob([whole])]) {
    outcome(call(payload));
  }
  await read();
  const found = binary(world).map((frame) => {
    const length = (frame[1] << 8) | frame[2];
    assert.deepEqual(Object.keys(JSON.parse(new TextDecoder().decode(frame.subarray(3, 3 + length)))), ["rpc", "id"]);
    return Buffer.from(frame.subarray(3 + length)).toString();
  });
  assert.deepEqual(found.sort(), ["0123456789", "0123456789", "23", "45"]);
});

test("a binary call fails for what cannot be sent, in time, and with the connection", async () => {
  const world = await startOpen();
  const call = world.client.__binaryRpc("a/b");
  await assert.rejects(call("text"), /takes an ArrayBuffer/);
  await assert.rejects(call(new Uint8Array(1), "x".repeat(70_000)), { code: "PAYLOAD_TOO_LARGE" });
  assert.equal(binary(world).length, 0);
  const slow = outcome(call(new Uint8Array(1)));
  await read();
  await world.clock.advance(30_000);
  assert.equal(await slow, "TIMEOUT");
  const lost = outcome(call(new Uint8Array(1)));
  await read();
  await world.socket.drop();
  assert.equal(await lost, "DISCONNECTED");
});

test("an upload is the chunks of the specification, byte for byte", async () => {
  const world = await startOpen();
  configure(world, { frameSize: 12 + 0x24 + 4 });
  const handle = world.client.__upload("files/put")(bytes("AAAABBBBCC"), "a.txt");
  assert.deepEqual([handle.streamId, handle.streamIdHex, handle.total], [1, "00000001", 10]);
  await read();
  assert.deepEqual(binary(world).map(toHex), [
    "01010000000100000000" + "0024" + Buffer.from('{"rpc":"files/put","args":["a.txt"]}').toString("hex") + "41414141",
    "01000000000100000001" + "42424242",
    "01020000000100000002" + "4343",
  ]);
  await reply(world, "00000001", { ok: true, data: { url: "/f/a.txt" }, __cap: 1048576 });
  assert.deepEqual(await handle, { url: "/f/a.txt" });
});

test("an empty source is one last chunk, and its progress is whole", async () => {
  const world = await startOpen();
  for (const source of [new Uint8Array(0), new Blob([])]) {
    world.socket.sent.length = 0;
    const handle = world.client.__upload("files/put")(source);
    await read();
    const [chunk] = binary(world).map(parsed);
    assert.deepEqual([chunk.last, chunk.seq, chunk.header, chunk.payload], [true, 0, { rpc: "files/put" }, ""]);
    assert.equal(handle.progress, 1);
  }
});

test("frames have 12 KiB until the server has said what it takes", async () => {
  const world = await startOpen();
  const put = world.client.__upload("f/p");
  put(new Uint8Array(30_000));
  await read();
  assert.deepEqual(binary(world).map((frame) => frame.length).slice(0, 1), [12_288]);
  await reply(world, "00000001", { ok: true, data: null, __cap: 20_000 });
  world.socket.sent.length = 0;
  put(new Uint8Array(30_000));
  await read();
  assert.equal(binary(world)[0].length, 20_000);
  configure(world, { frameSize: 50_000 });
  const told = await consoleOf(async () => {
    for (let i = 0; i < 2; i++) {
      world.socket.sent.length = 0;
      put(new Uint8Array(60_000));
      await read();
      assert.equal(binary(world)[0].length, 20_000);
    }
  });
  assert.equal(told.length, 1);
});

test("a blob is read piece by piece, and one that has changed is a failed source", async () => {
  const world = await startOpen();
  const blob = new Blob(["x".repeat(30_000)]);
  let open = 0;
  let most = 0;
  const slice = blob.slice.bind(blob);
  blob.slice = (from, to) => {
    most = Math.max(most, to - from);
    open++;
    return slice(from, to);
  };
  world.client.__upload("f/p")(blob);
  await read();
  await read();
  assert.ok(open >= 3 && most <= 12_288);
  const shrunk = new Blob(["x".repeat(100)]);
  shrunk.slice = () => new Blob(["x"]);
  const handle = world.client.__upload("f/p")(shrunk);
  await assert.rejects(Promise.resolve(handle), { code: "SOURCE_ERROR" });
});

test("a stream is cut anew, its end is not known before, and other elements fail it", async () => {
  const world = await startOpen();
  configure(world, { frameSize: 12 + '{"rpc":"f/p"}'.length + 4 });
  const source = (...parts) =>
    new ReadableStream({
      start(controller) {
        for (const part of parts) controller.enqueue(part);
        controller.close();
      },
    });
  const handle = world.client.__upload("f/p")(source(bytes("AB"), bytes("CDEFGH"), bytes(""), bytes("I")));
  assert.deepEqual([handle.total, handle.progress], [undefined, undefined]);
  await read();
  await read();
  const chunks = binary(world).map(parsed);
  assert.deepEqual(
    chunks.map(({ payload, last, seq }) => [payload, last, seq]),
    [["ABCD", false, 0], ["EFGH", false, 1], ["I", true, 2]]
  );
  world.socket.sent.length = 0;
  const wrong = world.client.__upload("f/p")(source(bytes("ABCDE"), "text"));
  await assert.rejects(Promise.resolve(wrong), { code: "SOURCE_ERROR" });
  assert.equal(toHex(binary(world).at(-1)), "0210" + wrong.streamIdHex);
});

test("progress is told after each chunk, and who listens may fail", async () => {
  const world = await startOpen();
  configure(world, { frameSize: 12 + '{"rpc":"f/p"}'.length + 5 });
  const seen = [];
  const handle = world.client.__upload("f/p")(bytes("0123456789"));
  handle.on("progress", () => {
    throw new Error("mine");
  });
  const off = handle.on("progress", (detail) => seen.push(detail));
  await read();
  assert.deepEqual(seen.map(({ sent, total, percent, chunks }) => [sent, total, percent, chunks]), [
    [5, 10, 0.5, 1],
    [10, 10, 1, 2],
  ]);
  assert.ok(seen[1].bytesPerSec > 0);
  off();
  assert.deepEqual([handle.sent, handle.chunks, handle.progress], [10, 2, 1]);
  await world.clock.advance(2000);
  assert.equal(handle.bytesPerSec, 0);
  assert.throws(() => handle.on("done", () => {}), /progress, complete, cancel, error/);
});

test("above the high mark it waits until the socket is below the low one", async () => {
  const world = await startOpen();
  configure(world, { frameSize: 1025, highWaterMark: 5000, lowWaterMark: 1000 });
  world.socket.bufferedAmount = 5001;
  world.client.__upload("f/p")(new Uint8Array(4000));
  await read();
  assert.equal(binary(world).length, 1);
  world.socket.bufferedAmount = 1001;
  await world.clock.advance(500);
  assert.equal(binary(world).length, 1);
  world.socket.bufferedAmount = 1000;
  await world.clock.advance(50);
  assert.equal(binary(world).length, 4);
});

test("cancel tells the server, the listeners and the promise, once", async () => {
  const world = await startOpen();
  world.socket.bufferedAmount = 2 ** 30;
  const order = [];
  const handle = world.client.__upload("f/p")(new Uint8Array(40_000));
  for (const event of ["cancel", "error", "complete"]) handle.on(event, (detail) => order.push([event, detail?.code ?? detail]));
  await read();
  handle.cancel("not that one");
  handle.cancel("again");
  assert.equal(await outcome(handle), "CANCELLED");
  assert.deepEqual(order, [["cancel", "not that one"], ["error", "CANCELLED"]]);
  assert.deepEqual(binary(world).map(toHex).slice(-1), ["021000000001"]);
  world.socket.bufferedAmount = 0;
  await world.clock.advance(1000);
  await reply(world, "00000001", { ok: true, data: 1, __cap: 9999 });
  assert.equal(binary(world).length, 2);
  world.socket.sent.length = 0;
  world.client.__upload("f/p")(new Uint8Array(20_000));
  await read();
  assert.equal(binary(world)[0].length, 9999); // the late reply told the limit
});

test("one that is cancelled before it began sends nothing", async () => {
  const world = await startOpen();
  const handle = world.client.__upload("f/p")(new Uint8Array(10));
  handle.cancel();
  assert.equal(await outcome(handle), "CANCELLED");
  await read();
  assert.equal(binary(world).length, 0);
});

test("a refusal of the server ends the sending", async () => {
  const world = await startOpen();
  world.socket.bufferedAmount = 2 ** 30;
  const handle = world.client.__upload("f/p")(new Uint8Array(40_000));
  await read();
  await reply(world, "00000001", { ok: false, code: "PAYLOAD_TOO_LARGE", error: "upload exceeds maxSize" });
  await assert.rejects(Promise.resolve(handle), { code: "PAYLOAD_TOO_LARGE", message: "upload exceeds maxSize" });
  world.socket.bufferedAmount = 0;
  await world.clock.advance(1000);
  assert.equal(binary(world).length, 1);
});

test("a lost connection rejects what has begun and starts what has not", async () => {
  const world = await start();
  const waiting = world.client.__upload("f/p")(bytes("later"));
  await read();
  await world.socket.drop();
  await world.clock.advance(5000);
  await world.socket.open();
  await read();
  assert.equal(parsed(binary(world)[0]).payload, "later");
  const lost = outcome(waiting);
  await world.socket.drop();
  assert.equal(await lost, "DISCONNECTED");
});

test("the end of the connection rejects all of them", async () => {
  const world = await startOpen();
  const begun = outcome(world.client.__upload("f/p")(bytes("a")));
  await read();
  world.client.connect().close();
  assert.equal(await begun, "CONNECTION_CLOSED");
  assert.equal(await outcome(world.client.__upload("f/p")(bytes("a"))), "CONNECTION_CLOSED");
});

test("arguments that cannot be sent and sources that are none", async () => {
  const world = await startOpen();
  const put = world.client.__upload("f/p");
  for (const source of ["text", null, 5, {}]) assert.throws(() => put(source), /takes an ArrayBuffer/);
  const cycle = {};
  cycle.me = cycle;
  assert.equal(await outcome(put(bytes("a"), cycle)), "INVALID_REQUEST");
  assert.equal(await outcome(put(bytes("a"), "x".repeat(70_000))), "PAYLOAD_TOO_LARGE");
  assert.equal(binary(world).length, 0);
});
