"""uWebSockets through socketify: its own topics for events, a JSON echo for calls."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from socketify import App, AppListenOptions, CompressOptions, OpCode

from bench.peers import frames

# uWebSockets joins so many messages of one turn for a subscriber and writes each further one alone, at a tenth of the
# rate: a longer burst is given to it in parts, which is the best it can do.
MAX_JOINED = 32
LIMIT = 1024 * 1024  # of a message and of what waits for one peer, as ours by default


def serve(port: int) -> None:
    """Serve until the process is ended."""
    app = App()

    async def publish(frame: dict[str, Any]) -> None:
        for turn in frames.turns(frame):
            for sent, (topic, number) in enumerate(turn, 1):
                app.publish(topic, frames.event(topic, number), OpCode.TEXT)
                if topic == frames.TOPIC and sent % MAX_JOINED == 0:
                    await asyncio.sleep(0)
            await asyncio.sleep(0)

    def upgrade(response: Any, request: Any, context: Any) -> None:
        if not request.get_header("origin"):  # as the `upgrade` hook of ours looks at the handshake
            response.write_status(403).end("no origin")
            return
        key = request.get_header("sec-websocket-key")
        protocol = request.get_header("sec-websocket-protocol")
        extensions = request.get_header("sec-websocket-extensions")
        response.upgrade(key, protocol, extensions, context)

    def opened(connection: Any) -> None:
        connection.send(frames.welcome(), OpCode.TEXT)

    def message(connection: Any, data: Any, opcode: OpCode) -> None:
        if opcode == OpCode.BINARY:
            connection.send(frames.acknowledgement(data), OpCode.BINARY)
            return
        frame = json.loads(data)
        if "rpc" not in frame:
            for topic in frames.topics_of(frame):
                connection.subscribe(topic)
                connection.send(frames.subscribed(topic), OpCode.TEXT)
        elif frame["rpc"] == "bench/echo":
            connection.send(frames.reply(frame, frame["args"][0]), OpCode.TEXT)
        else:
            app.run_async(publish(frame))

    app.ws(
        "/ws",
        {
            "compression": CompressOptions.DISABLED,
            "max_payload_length": LIMIT,
            "max_backpressure": LIMIT,
            "upgrade": upgrade,
            "open": opened,
            "message": message,
        },
    )
    app.listen(AppListenOptions(port=port, host="127.0.0.1"), lambda config: None)
    app.run()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    serve(parser.parse_args().port)
