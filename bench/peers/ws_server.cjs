// The ws package on Node.js: a loop of sends for events, a JSON echo for calls. Argument: the port.
"use strict";

const { WebSocketServer } = require("ws");
const frames = require("./frames.cjs");

const topics = new Map();
const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  path: "/ws",
  verifyClient: ({ origin }) => Boolean(origin), // as the `upgrade` hook of ours looks at the handshake
});

function send(topic, text) {
  const payload = Buffer.from(text);
  for (const socket of topics.get(topic) ?? []) socket.send(payload, { binary: false });
}

server.on("connection", (socket) => {
  const held = [];
  socket.send(frames.welcome());
  socket.on("close", () => held.forEach((topic) => topics.get(topic).delete(socket)));
  socket.on("error", () => socket.terminate());
  socket.on("message", async (data, isBinary) => {
    if (isBinary) return socket.send(frames.acknowledgement(data));
    const frame = JSON.parse(data);
    if (!("rpc" in frame)) {
      for (const topic of frames.topicsOf(frame)) {
        if (!topics.has(topic)) topics.set(topic, new Set());
        topics.get(topic).add(socket);
        held.push(topic);
        socket.send(frames.subscribed(topic));
      }
    } else if (frame.rpc === "bench/echo") {
      socket.send(frames.reply(frame, frame.args[0]));
    } else {
      await frames.publish(frame, send);
      socket.send(frames.reply(frame, null));
    }
  });
});
