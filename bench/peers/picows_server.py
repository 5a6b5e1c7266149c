"""A picows server: a loop of `send` for events, a JSON echo for calls."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from bench.peers import frames
from bench.peers.running import port_and_loop

topics: dict[str, set[WSTransport]] = defaultdict(set)
running: set[asyncio.Task[None]] = set()


def send(transport: WSTransport, text: str) -> None:
    """Send one text frame."""
    transport.send(WSMsgType.TEXT, text.encode())


async def publish(transport: WSTransport, frame: dict[str, Any]) -> None:
    """Send events to every subscriber, so many per turn of the loop, then the reply."""
    for turn in frames.turns(frame):
        for topic, number in turn:
            payload = frames.event(topic, number).encode()
            for subscriber in topics[topic]:
                subscriber.send(WSMsgType.TEXT, payload)
        await asyncio.sleep(0)
    send(transport, frames.reply(frame, None))


class Listener(WSListener):  # type: ignore[misc]  # a class of a compiled module
    """One connection."""

    def __init__(self) -> None:
        self.held: list[str] = []

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Greet."""
        send(transport, frames.welcome())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Leave the topics."""
        for topic in self.held:
            topics[topic].discard(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame."""
        if frame.msg_type == WSMsgType.BINARY:
            transport.send(WSMsgType.BINARY, frames.acknowledgement(frame.get_payload_as_bytes()))
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif frame.msg_type == WSMsgType.TEXT:
            self.take(transport, json.loads(frame.get_payload_as_utf8_text()))

    def take(self, transport: WSTransport, frame: dict[str, Any]) -> None:
        """Take one text frame."""
        if "rpc" not in frame:
            for topic in frames.topics_of(frame):
                self.held.append(topic)
                topics[topic].add(transport)
                send(transport, frames.subscribed(topic))
        elif frame["rpc"] == "bench/echo":
            send(transport, frames.reply(frame, frame["args"][0]))
        else:
            task = asyncio.get_running_loop().create_task(publish(transport, frame))
            running.add(task)
            task.add_done_callback(running.discard)


def upgrade(request: WSUpgradeRequest) -> Listener | None:
    """Look at the handshake, as the `upgrade` hook of ours does."""
    return Listener() if request.headers.get("Origin") else None


async def main(port: int) -> None:
    """Serve until the process is ended."""
    server = await ws_create_server(upgrade, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    port, run = port_and_loop()
    run(main(port))
