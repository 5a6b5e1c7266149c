"""The app of the network tests: streams of each kind, calls that take their time, hooks that a test steers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

#: What the hooks of the app do: `authenticate` answers the preflight, `subscribe` a subscription.
STEERING: dict[str, Callable[..., Any]] = {}


@pytest.fixture
def steering() -> Any:
    """The hooks' answers, forgotten after the test."""
    STEERING.clear()
    yield STEERING
    STEERING.clear()


LIVE = """
import asyncio
from typing import Any
from runtime import live

rows = live.keep("rows", list)
loads = live.keep("loads", dict)


def loaded(name):
    loads[name] = loads.get(name, 0) + 1


@live.public
@live.stream("log", merge="crud", key="id", replay=True)
async def log(ctx):
    loaded("log")
    return list(rows)


@live.public
@live.stream("plain", merge="crud", key="id")
async def plain(ctx):
    loaded("plain")
    return list(rows)


@live.public
@live.stream("tail", merge="latest", max=1000)
async def tail(ctx):
    loaded("tail")
    return [row["id"] for row in rows]


@live.public
@live.stream("count", merge="set")
async def count(ctx):
    loaded("count")
    return len(rows)


@live.public
@live
async def add(ctx):
    row = {"id": len(rows) + 1}
    rows.append(row)
    ctx.publish("log", "created", row)
    ctx.publish("plain", "created", row)
    ctx.publish("tail", "created", row["id"])
    ctx.publish("count", "set", len(rows))
    return row["id"]


@live.public
@live
async def echo(ctx, value: Any = None):
    return value


@live.public
@live
async def ask(ctx, n: Any):
    return await ctx.platform.request(ctx.ws, "ask", {"n": n})


@live.public
@live
async def load_counts(ctx):
    return loads


@live.public
@live
async def never(ctx):
    await asyncio.Event().wait()
"""

HOOKS = """
from tests.browser.network_app import STEERING


async def authenticate(request, cookies):
    steer = STEERING.get("authenticate")
    return steer(cookies) if steer else None


async def subscribe(ws, topic):
    steer = STEERING.get("subscribe")
    return steer(topic) if steer else None
"""

PAGE = """<!doctype html>
<html>
  <head><meta charset="utf-8"><title>network</title><link rel="icon" href="data:,"></head>
  <body>
    <script type="module">
      import * as client from "$live/client.js";
      import * as live from "$live/things.js";

      const options = new URLSearchParams(location.search);
      const speed = Number(options.get("speed") ?? 1); // so many seconds of the client pass in one
      const begun = Date.now();
      Object.assign(client.__environment, {
        now: () => begun + (Date.now() - begun) * speed,
        setTimeout: (fn, ms) => setTimeout(fn, ms / speed),
        setInterval: (fn, ms) => setInterval(fn, ms / speed),
        clearTimeout: (timer) => clearTimeout(timer),
        clearInterval: (timer) => clearInterval(timer),
      });
      const quick = { reconnectInterval: 40, maxReconnectInterval: 80 };
      const app = { client, live, quick, statuses: [], seen: {}, outcomes: [] };
      app.configure = (more = {}) => client.configure(options.has("quick") ? { ...quick, ...more } : more);
      app.record = (name, store = live[name]) => store.subscribe((value) => (app.seen[name] ??= []).push(value));
      app.call = (promise) => promise.then((value) => ["ok", value], (error) => [error.code, error.message]);
      app.status = (wanted) =>
        new Promise((resolve) => client.status.subscribe((status) => status === wanted && resolve(status)));
      app.configure();
      if (!options.has("idle")) client.status.subscribe((s) => app.statuses.push(s));
      window.app = app;
    </script>
  </body>
</html>
"""

FILES = {"live/things.py": LIVE, "hooks.py": HOOKS, "web/index.html": PAGE}
