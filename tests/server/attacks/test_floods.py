"""Many requests, slow ones and idle ones. Platform 5.14."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.server.attacks.people import Attacker, upgrade_head


async def statuses(mallory: Attacker, count: int, *headers: str) -> list[int]:
    async def once(number: int) -> int:
        made = [header.format(number) for header in headers]
        async with mallory.peer(upgrade_head(mallory.target, *made)) as peer:
            return int(peer.status.split()[0])

    return list(await asyncio.gather(*(once(number) for number in range(count))))


@pytest.mark.spec("PLAT-116", "PLAT-167")
@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("x-forwarded-for: 10.0.0.{}",),
        ("x-real-ip: 10.0.0.{}", "forwarded: for=10.0.0.{}", "cf-connecting-ip: 10.0.0.{}"),
        ("x-forwarded-for: 10.0.0.{}, 127.0.0.1", "true-client-ip: 10.0.0.{}"),
    ],
    ids=["plain", "xff", "others", "both"],
)
async def test_a_flood_of_handshakes_is_refused_behind_the_tenth(
    mallory: Attacker, headers: tuple[str, ...]
) -> None:
    found = await statuses(mallory, 60, *headers)
    assert found.count(101) == 10
    assert found.count(429) == 50
    other = Attacker(mallory.target)
    assert await statuses(other, 1) == [101]  # somebody else is let in


@pytest.mark.spec("PLAT-116")
async def test_refused_requests_do_not_run_the_apps_code(mallory: Attacker) -> None:
    before = (await mallory.counts())["upgrade"]
    await statuses(mallory, 40)
    assert (await mallory.counts())["upgrade"] == before + 10


@pytest.mark.spec("PLAT-116", "PLAT-108")
async def test_a_flood_of_sign_ins_is_refused(mallory: Attacker) -> None:
    async def once() -> int:
        answer = await mallory.get(
            "/__ws/auth", "x-requested-with: XMLHttpRequest", "content-length: 0", method="POST"
        )
        return answer.status

    found = await asyncio.gather(*(once() for _ in range(60)))
    assert found.count(401) == 30
    assert found.count(429) == 30


@pytest.mark.spec("PLAT-116")
@pytest.mark.parametrize("said", [b"", b"GET /ws HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nhost: x\r\nx-a: "])
async def test_handshakes_that_never_end_are_ended(mallory: Attacker, said: bytes) -> None:
    async with contextlib.AsyncExitStack() as stack:
        waiting = []
        for _ in range(50):
            reader, writer = await mallory.open()
            stack.callback(writer.close)
            writer.write(said)
            waiting.append(reader)
        async with asyncio.timeout(8):
            for reader in waiting:
                rest = await reader.read()
                assert rest == b"" or rest.startswith(b"HTTP/1.1 408")


@pytest.mark.spec("PLAT-116")
async def test_a_head_that_comes_byte_by_byte_has_the_same_time(mallory: Attacker) -> None:
    reader, writer = await mallory.open()
    ended = asyncio.ensure_future(reader.read())
    try:
        async with asyncio.timeout(8):
            writer.write(b"GET / HTTP/1.1\r\n")
            while not ended.done():
                writer.write(b"x")
                await asyncio.wait([ended], timeout=0.05)
        assert ended.result() == b"" or ended.result().startswith(b"HTTP/1.1 408")
    finally:
        ended.cancel()
        writer.close()


@pytest.mark.slow("bodies are looked at over ten seconds")
@pytest.mark.spec("PLAT-116", "PLAT-92")
async def test_bodies_that_trickle_are_ended(mallory: Attacker) -> None:
    head = f"POST /echo HTTP/1.1\r\nhost: {mallory.target.address}\r\ncontent-length: 400000\r\n\r\n"
    async with contextlib.AsyncExitStack() as stack:
        ends = []
        for _ in range(20):
            reader, writer = await mallory.open()
            stack.callback(writer.close)
            writer.write(head.encode())
            ends.append((asyncio.ensure_future(reader.read()), writer))
        async with asyncio.timeout(25):
            while not all(end.done() for end, _ in ends):
                for end, writer in ends:
                    if not end.done():
                        writer.write(b"x")
                await asyncio.wait([end for end, _ in ends], timeout=0.2)
        for end, _ in ends:
            with contextlib.suppress(ConnectionError):
                assert end.result() == b"" or end.result().startswith(b"HTTP/1.1 408")


@pytest.mark.spec("PLAT-92", "PLAT-116")
@pytest.mark.parametrize(
    "framing",
    ["content-length: 600000", "content-length: 99999999999999999999", "transfer-encoding: chunked"],
)
async def test_bodies_that_are_too_large_are_refused(mallory: Attacker, framing: str) -> None:
    head = f"POST /echo HTTP/1.1\r\nhost: {mallory.target.address}\r\n{framing}\r\nconnection: close\r\n\r\n"
    pieces = [b"2710\r\n" + b"x" * 10_000 + b"\r\n"] * 60 if "chunked" in framing else []
    answer = await mallory.send(head, *pieces)
    assert answer.status in (413, 400)
    assert answer.body in (b"Content Too Large", b"Bad Request", b"Invalid HTTP request received.")


@pytest.mark.spec("PLAT-116")
@pytest.mark.parametrize("how", ["one header", "many headers", "target"])
async def test_heads_that_are_too_large_are_refused(mallory: Attacker, how: str) -> None:
    long = "x" * 70_000
    if how == "target":
        answer = await mallory.get(f"/{long}")
    else:
        headers = [f"x-a: {long}"] if how == "one header" else [f"x-{n}: {'y' * 100}" for n in range(700)]
        answer = await mallory.get("/", *headers)
    assert answer.status == 431


@pytest.mark.spec("PLAT-116")
async def test_who_never_reads_holds_up_nobody(mallory: Attacker) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(10):
            _, writer = await mallory.open()
            stack.callback(writer.close)
            writer.write(f"GET /large HTTP/1.1\r\nhost: {mallory.target.address}\r\n\r\n".encode() * 5)
        for _ in range(20):
            assert (await mallory.get("/healthz")).status == 200
