"""Files and bytes from a real page: pieces, progress, the end of either side. Spec: live-api 6, 7 and 23.6."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from runtime.testing import RunningServer, eventually, running_server
from tests.browser.conftest import Tabs

pytestmark = pytest.mark.browser

LIVE = """
# realtime-allow-public
import asyncio
import hashlib
from runtime import LiveError, live

seen = []
gate = asyncio.Event()


@live.upload(max_size=8_000_000)
async def put(ctx, name: str):
    digest, size, pieces = hashlib.sha256(), 0, 0
    async for piece in ctx.stream:
        digest.update(piece)
        size, pieces = size + len(piece), pieces + 1
    return {"name": name, "id": ctx.upload.id, "size": size, "digest": digest.hexdigest(), "pieces": pieces}


@live.upload(max_size=100_000)
async def small(ctx):
    async for piece in ctx.stream:
        pass


@live.upload()
async def slow(ctx):
    try:
        async for piece in ctx.stream:
            seen.append(len(piece))
            await gate.wait()
    except LiveError as error:
        seen.append(error.code)
        raise


@live.binary(max_size=1000)
async def digest(ctx, data: bytes, salt: str):
    return hashlib.sha256(data + salt.encode()).hexdigest()
"""
PAGE = """<!doctype html>
<html>
  <head><meta charset="utf-8"><title>files</title><link rel="icon" href="data:,"></head>
  <body>
    <input type="file">
    <script type="module">
      import { configure } from "$live/client.js";
      import { digest, put, slow, small } from "$live/files.js";
      Object.assign(window, { configure, digest, put, slow, small });
      window.watch = (handle) => {
        window.told = [];
        for (const event of ["progress", "complete", "cancel", "error"]) {
          handle.on(event, (detail) => told.push([event, detail?.code ?? detail]));
        }
        return handle;
      };
    </script>
  </body>
</html>
"""


@pytest.fixture
async def server(
    project: Callable[[dict[str, str]], Path], no_leaked_tasks: None
) -> AsyncIterator[RunningServer]:
    async with running_server(project({"live/files.py": LIVE, "web/index.html": PAGE})) as running:
        yield running


@pytest.fixture
async def page(tabs: Tabs, server: RunningServer) -> Page:
    opened = await tabs.open(server.url)
    await opened.wait_for_function("Boolean(window.watch)")
    return opened


def module(server: RunningServer) -> Any:
    return server.runtime.live.registry.modules["files"].module


@pytest.mark.spec("LIVE-65", "LIVE-66", "LIVE-182")
async def test_a_file_arrives_whole_and_its_progress_is_told(page: Page, tmp_path: Path) -> None:
    content = bytes(range(256)) * 12_000
    file = tmp_path / "picture.bin"
    file.write_bytes(content)
    await page.set_input_files("input", str(file))
    result = await page.evaluate(
        """async () => {
          const [file] = document.querySelector("input").files;
          const handle = watch(put(file, file.name));
          const result = await handle;
          return { result, id: handle.streamIdHex, told, progress: handle.progress, chunks: handle.chunks };
        }"""
    )
    assert result["result"] == {
        "name": "picture.bin",
        "id": result["id"],
        "size": len(content),
        "digest": hashlib.sha256(content).hexdigest(),
        "pieces": result["chunks"],
    }
    assert result["progress"] == 1
    *steps, (last, _) = result["told"]
    assert last == "complete"
    sent = [detail["sent"] for event, detail in steps if event == "progress"]
    assert sent == sorted(sent)
    assert sent[-1] == len(content)


@pytest.mark.spec("LIVE-75", "LIVE-182")
async def test_the_next_upload_has_frames_as_large_as_the_server_takes(
    page: Page, server: RunningServer
) -> None:
    chunks = await page.evaluate(
        """async () => {
          const first = put(new Uint8Array(100_000), "first");
          await first;
          const second = put(new Blob([new Uint8Array(3_000_000)]), "second");
          await second;
          return [first.chunks, second.chunks];
        }"""
    )
    assert chunks[0] == 9  # 12 KiB each, before the server has said what it takes
    assert chunks[1] == 3  # 1 MiB each


@pytest.mark.spec("LIVE-67", "LIVE-182")
async def test_a_refusal_ends_the_sending(page: Page) -> None:
    told = await page.evaluate(
        """async () => {
          const handle = watch(small(new Uint8Array(2_000_000)));
          await handle.catch(() => {});
          return [handle.sent, told.at(-1)];
        }"""
    )
    assert told[1] == ["error", "PAYLOAD_TOO_LARGE"]
    assert await page.evaluate("digest(new Uint8Array(3), 'x')")  # the connection goes on


@pytest.mark.spec("LIVE-72", "LIVE-182")
async def test_a_page_that_gives_up_stops_the_handler(page: Page, server: RunningServer) -> None:
    await page.evaluate("window.handle = watch(slow(new Uint8Array(500_000))); handle.catch(() => {}); 0")
    await eventually(lambda: module(server).seen)
    code = await page.evaluate("handle.cancel('changed my mind'); handle.catch((error) => error.code)")
    assert code == "CANCELLED"
    await eventually(lambda: server.runtime.live.uploads.active == 0)  # else the handler may be done before
    module(server).gate.set()
    await eventually(lambda: module(server).seen[-1] == "CANCELLED")
    told = await page.evaluate("told.slice(-2)")
    assert told == [["cancel", "changed my mind"], ["error", "CANCELLED"]]


@pytest.mark.spec("LIVE-72")
async def test_a_page_that_goes_away_leaves_nothing(tabs: Tabs, page: Page, server: RunningServer) -> None:
    await page.evaluate("slow(new Uint8Array(500_000)).catch(() => {}); 0")
    await eventually(lambda: module(server).seen)
    await page.close()
    uploads = server.runtime.live.uploads
    await eventually(lambda: (uploads.active, uploads.running, uploads.pending_bytes) == (0, 0, 0))
    module(server).gate.set()
    await eventually(lambda: module(server).seen[-1] == "DISCONNECTED")


@pytest.mark.spec("LIVE-182")
async def test_a_stream_of_the_page_is_uploaded_as_it_comes(page: Page) -> None:
    result = await page.evaluate(
        """async () => {
          let left = 5;
          const source = new ReadableStream({
            pull(controller) {
              if (left-- === 0) controller.close();
              else controller.enqueue(new Uint8Array(7000).fill(left));
            },
          });
          const handle = put(source, "stream");
          return [(await handle).size, handle.total ?? null];
        }"""
    )
    assert result == [35_000, None]


@pytest.mark.spec("LIVE-64")
async def test_a_call_with_bytes(page: Page) -> None:
    expected = hashlib.sha256(bytes([1, 2, 3]) + b"salt").hexdigest()
    for payload in (
        "new Uint8Array([1, 2, 3])",
        "new Uint8Array([1, 2, 3]).buffer",
        "new Blob([new Uint8Array([1, 2, 3])])",
    ):
        assert await page.evaluate(f"digest({payload}, 'salt')") == expected
    code = await page.evaluate("digest(new Uint8Array(1001), 'salt').catch((error) => error.code)")
    assert code == "PAYLOAD_TOO_LARGE"
