// The same frames as in frames.py, for the peers that run on Node.js and Bun.
"use strict";

const TOPIC = "bench";
const PADDING = "x".repeat(120);
const EDGE = 8;
const numbers = new Map();

const welcome = () => JSON.stringify({ type: "welcome", sessionId: "00000000-0000-4000-8000-000000000000" });

const topicsOf = (frame) =>
  frame.type === "subscribe" ? [frame.topic] : frame.type === "subscribe-batch" ? frame.topics : [];

const subscribed = (topic) => JSON.stringify({ type: "subscribed", topic, ref: 1 });

function event(topic, n) {
  const seq = (numbers.get(topic) ?? 0) + 1;
  numbers.set(topic, seq);
  return JSON.stringify({ topic, event: "tick", data: { n, text: PADDING }, seq });
}

// Calls send(topic, text) for each publish and waits for the next turn of the loop after every so many.
async function publish(frame, send) {
  const [count, perTurn, last] = frame.args;
  const nextTurn = () => new Promise((resolve) => setImmediate(resolve));
  if (frame.rpc === "bench/burst") {
    for (let n = 0; n < count; n++) {
      send(TOPIC, event(TOPIC, last + n));
      if ((n + 1) % perTurn === 0) await nextTurn();
    }
    return;
  }
  for (let n = 0; n < count; n++) {
    for (let topic = 0; topic < last; topic++) {
      send(`${TOPIC}-${topic}`, event(`${TOPIC}-${topic}`, n));
      if ((topic + 1) % perTurn === 0) await nextTurn();
    }
  }
}

const reply = (frame, data) =>
  JSON.stringify({ topic: "__rpc", event: frame.id, data: { id: frame.id, ok: true, data } });

const acknowledgement = (upload) => Buffer.concat([upload.subarray(0, EDGE), upload.subarray(-EDGE)]);

module.exports = { welcome, topicsOf, subscribed, publish, reply, acknowledgement };
