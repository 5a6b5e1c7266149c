// Bun's own WebSocket server (uWebSockets inside): its topics for events, a JSON echo for calls. Argument: the port.
"use strict";

const frames = require("./frames.cjs");

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  fetch(request, self) {
    if (!request.headers.get("origin")) return new Response("no origin", { status: 403 }); // as our `upgrade` hook
    return self.upgrade(request) ? undefined : new Response("ok");
  },
  websocket: {
    open(socket) {
      socket.send(frames.welcome());
    },
    async message(socket, data) {
      if (typeof data !== "string") return socket.send(frames.acknowledgement(data));
      const frame = JSON.parse(data);
      if (!("rpc" in frame)) {
        for (const topic of frames.topicsOf(frame)) {
          socket.subscribe(topic);
          socket.send(frames.subscribed(topic));
        }
      } else if (frame.rpc === "bench/echo") {
        socket.send(frames.reply(frame, frame.args[0]));
      } else {
        await frames.publish(frame, (topic, text) => server.publish(topic, text));
        socket.send(frames.reply(frame, null));
      }
    },
  },
});
