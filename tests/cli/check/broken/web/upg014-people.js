const socket = new WebSocket(`wss://${location.host}/ws`);
socket.onopen = () => {
  socket.send(JSON.stringify({ type: "subscribe", topic: "__presence:x" }));
};
