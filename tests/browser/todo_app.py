"""The app of the page tests: a list, a counter, and a page in plain HTML that shows both."""

from __future__ import annotations

LIVE = """
from runtime import LiveError, live

_items = live.keep("items", dict)
_state = live.keep("state", dict)


@live.public
@live.stream("todos", merge="crud", key="id")
async def todos(ctx):
    return list(_items.values())


@live.public
@live.stream("count", merge="set")
async def count(ctx):
    return len(_items)


@live.public
@live.stream(lambda ctx, letter: f"starting:{letter}", merge="crud", key="id")
async def starting(ctx, letter: str):
    return [item for item in _items.values() if item["text"].startswith(letter)]


@live.public
@live
async def add(ctx, text: str, id: str | None = None):
    if text == "":
        raise LiveError("EMPTY", "Write something first")
    item = {"id": id or f"n{_state.setdefault('next', 1)}", "text": text}
    _state["next"] = _state.get("next", 1) + 1
    _items[item["id"]] = item
    ctx.publish("todos", "created", item)
    ctx.publish("count", "set", len(_items))
    ctx.publish(f"starting:{text[0]}", "created", item)
    return item


@live.public
@live
async def remove(ctx, id: str):
    item = _items.pop(id)
    ctx.publish("todos", "deleted", {"id": id})
    ctx.publish("count", "set", len(_items))
    return item
"""

PAGE = """<!doctype html>
<html>
  <head><meta charset="utf-8"><title>todos</title><link rel="icon" href="data:,"></head>
  <body>
    <p id="count">-</p>
    <ul id="list"></ul>
    <script type="module">
      import * as client from "$live/client.js";
      import * as live from "$live/todos.js";

      const options = new URLSearchParams(location.search);
      if (options.has("quick")) client.configure({ reconnectInterval: 40, maxReconnectInterval: 80 });
      const app = { client, live, lists: [], statuses: [] };
      live.todos.subscribe((list) => {
        app.lists.push(list);
        const row = (item) => Object.assign(document.createElement("li"), { textContent: item.text });
        document.querySelector("#list").replaceChildren(...(list ?? []).map(row));
      });
      live.count.subscribe((count) => (document.querySelector("#count").textContent = count ?? "-"));
      client.status.subscribe((status) => app.statuses.push(status));
      window.app = app;
    </script>
  </body>
</html>
"""

FILES = {"live/todos.py": LIVE, "web/index.html": PAGE}
