"""What templates write for the page's script. Spec: live-api 19."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from jinja2 import Environment

from runtime import LiveError, Page, RpcError, Transport, live_data, live_error
from runtime.live.pageload import Preloaded
from runtime.server.templates import make_templates

BLOCK = re.compile(r"<script type=\"application/json\"([^>]*)>([^<]*)</script>")
HARD = "</script><!-- & \u2028 \u2029 > 'quotes\" \\"


def parts(markup: Any) -> tuple[dict[str, str], Any]:
    match = BLOCK.fullmatch(str(markup))
    assert match is not None, markup
    found = {name: html.unescape(value) for name, value in re.findall(r' ([\w-]+)(?:="([^"]*)")?', match[1])}
    return found, json.loads(match[2])


@pytest.mark.parametrize("value", [HARD, [{"id": 1, "text": HARD}], {HARD: None}, None, 0, []])
def test_a_value_comes_back_and_nothing_of_it_can_end_the_script(value: Any) -> None:
    markup = live_data("messages", value)
    assert parts(markup) == ({"data-live": "messages"}, value)
    body = str(markup).split(">", 1)[1].rsplit("</script>", 1)[0]
    assert not set("<>&\u2028\u2029") & set(body)


def test_the_name_is_escaped_and_needed() -> None:
    assert parts(live_data('a"><b>&', 1)) == ({"data-live": 'a"><b>&'}, 1)
    assert str(live_data('a"><b>', 1)).count("<") == 2
    for name in ("", None, 7):
        with pytest.raises(ValueError, match="the name"):
            live_data(name, 1)  # type: ignore[arg-type]


def test_a_page_gives_its_data() -> None:
    assert parts(live_data("p", Page([1], True, "c")))[1] == [1]
    assert parts(live_data("p", {"data": [1], "hasMore": False}))[1] == [1]


def test_a_preloaded_stream_says_where_it_goes_on() -> None:
    options = {"merge": "crud", "key": HARD}
    loaded = Preloaded("m/log", (HARD, 2), Page([1], True, {"at": 9}), options, 7, "v1", 3, True)
    attributes, data = parts(live_data("log", loaded))
    assert data == [1]
    assert json.loads(attributes["data-stream"]) == {
        "path": "m/log",
        "args": [HARD, 2],
        "options": options,
        "seq": 7,
        "version": "v1",
        "schemaVersion": 3,
        "cursor": {"at": 9},
        "hasMore": True,
    }
    attributes, data = parts(live_data("log", Preloaded("m/s", (), None, {"merge": "set"}, version=None)))
    assert data is None
    assert json.loads(attributes["data-stream"]) == {
        "path": "m/s",
        "options": {"merge": "set"},
        "version": None,
    }, "a static stream has no arguments, and a version may be None"
    assert parts(live_data("sum", Preloaded("m/add", (1,), 2))) == ({"data-live": "sum"}, 2), "no stream"


def test_an_error_gives_its_code_and_nothing_that_was_not_meant() -> None:
    assert parts(live_error(LiveError("A", HARD))) == (
        {"data-live-error": ""},
        {"type": "LiveError", "value": ["A", HARD]},
    )
    assert parts(live_error(RpcError("A", "b")))[1]["type"] == "RpcError"
    with pytest.raises(TypeError, match="ValueError is not meant for clients"):
        live_error(ValueError("secret"))
    mine = Transport(extras={"Mine": (lambda e: [str(e)], lambda v: v)})
    assert parts(live_error(ValueError("x"), mine))[1] == {"type": "Mine", "value": ["x"]}


async def test_templates_know_both_and_await_what_they_call(tmp_path: Any) -> None:
    made: Environment = make_templates(tmp_path, dev=True)

    async def slow() -> list[int]:
        return [1]

    text = "{% set rows = slow() %}{{ live_data('r', rows) }}{{ rows[0] }}{{ '<' }}"
    assert await made.from_string(text).render_async(slow=slow) == str(live_data("r", [1])) + "1&lt;"
