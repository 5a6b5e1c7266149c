"""`realtime call` against a running server."""

from __future__ import annotations

import os
import signal
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from realtime_cli.remote import Remote, connection_failed, value_of
from tests.cli.apps import write_project
from tests.cli.commands import PROGRAM, Ended, environment, realtime, serving

FILES = {
    # Nobody waits for the call that is left running.
    "realtime.toml": """
        [server]
        shutdown_timeout = "1s"
    """,
    "hooks.py": """
        async def upgrade(cookies, headers):
            if headers.get("x-key") == "wrong":
                return False
            return {"id": cookies.get("session") or headers.get("x-key") or "nobody"}

        async def authenticate(cookies, headers):
            cookies.set("session", "renewed")
            return headers.get("x-key") != "expired"
    """,
    "live/notes.py": """
        # realtime-allow-public
        import asyncio
        from typing import Any
        from runtime import LiveError, live

        @live
        async def add(ctx, text: str, *tags: str) -> dict[str, object]:
            return {"text": text, "tags": tags}

        @live
        async def echo(ctx, value: Any) -> Any:
            return value

        @live
        async def who(ctx) -> str:
            return ctx.user["id"]

        @live
        async def full(ctx) -> None:
            raise LiveError("FULL", "no room\\x1b[31m", data={"left": 0})

        @live
        async def limited(ctx) -> None:
            error = LiveError("RATE_LIMITED", "too fast")
            error.retry_after = 1.5
            raise error

        @live
        async def slow(ctx) -> None:
            await asyncio.sleep(30)

        @live.binary(max_size=1000)
        async def size(ctx, data: bytes, factor: int) -> int:
            return len(data) * factor

        @live.upload()
        async def put(ctx, name: str) -> dict[str, object]:
            return {"name": name, "size": sum([len(part) async for part in ctx.stream])}

        @live.stream("notes")
        async def notes(ctx) -> list[str]:
            return []
    """,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("call") / "app", FILES)


@pytest.fixture(scope="module")
def address(project: Path) -> Iterator[str]:
    """The address of the served project, as the server prints it."""
    with serving(project, "--env", "dev") as (_, printed):
        yield printed


class Run(Protocol):
    """Runs `realtime call` against the served project."""

    def __call__(self, *arguments: str | Path, stdin: str = "") -> Ended: ...


@pytest.fixture
def call(project: Path, address: str) -> Run:
    def run(*arguments: str | Path, stdin: str = "") -> Ended:
        return realtime("call", *arguments, cwd=project, env={"REALTIME_URL": address}, stdin=stdin)

    return run


def test_an_argument_is_json_or_text() -> None:
    values = ["milk", "3", "3.5", '"3"', "true", "null", '{"a":[1]}', "-1", "", "NaN", "{a", "\ud800"]
    assert [value_of(text) for text in values] == [
        *("milk", 3, 3.5, "3", True, None, {"a": [1]}, -1, "", "NaN", "{a", "\ud800")
    ]


def test_the_result_is_one_line_of_json_for_programs(call: Run) -> None:
    ended = call("notes/add", "milk", "a", "b")
    assert (ended.code, ended.out, ended.err) == (0, '{"text":"milk","tags":["a","b"]}\n', "")


def test_json_says_also_how_long_it_took(call: Run) -> None:
    assert call("notes/echo", "--", "-1").out == "-1\n"
    data = call("notes/echo", "é\u009b", "--json").data
    assert (data["ok"], data["result"]) == (True, "é\u009b")
    assert 0 < data["ms"] < 30_000


def test_arguments_come_from_a_file_or_the_standard_input(call: Run, tmp_path: Path) -> None:
    (tmp_path / "args.json").write_text('["b", "c"]')
    assert call("notes/add", "a", "--args", tmp_path / "args.json").out == '{"text":"a","tags":["b","c"]}\n'
    assert call("notes/echo", "--args", "-", stdin='[{"a": 1}]').out == '{"a":1}\n'
    for text, words in (("[", "--args: -: "), ("{}", "not a JSON list")):
        ended = call("notes/echo", "--args", "-", stdin=text)
        assert ended.code == 2
        assert words in ended.err
        assert 'next: write a list, as in ["milk", 3]' in ended.err


def test_bytes_and_files_are_sent(call: Run, tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"x" * 300_000)
    assert call("notes/size", "2", "--binary", "-", stdin="abc").out == "6\n"
    assert call("notes/put", "a", "--upload", file).out == '{"name":"a","size":300000}\n'
    assert call("notes/put", "b", "--upload", "-", stdin="abcd").out == '{"name":"b","size":4}\n'
    for flag in ("--binary", "--upload"):
        ended = call("notes/put", flag, tmp_path / "missing")
        assert ended.code == 2
        assert f"{flag}: cannot read" in ended.err
    assert call("notes/put", "--upload", file, "--binary", file).code == 2
    assert call("notes/put", "--upload", file, "--idempotency-key", "k").code == 2


def test_headers_cookies_and_the_auth_path_say_who_asks(call: Run) -> None:
    assert call("notes/who").out == '"nobody"\n'
    assert call("notes/who", "--cookie", "other=1", "-b", "session=me").out == '"me"\n'
    assert call("notes/who", "--header", "Cookie: session=me", "--cookie", "other=1").out == '"me"\n'
    assert call("notes/who", "-H", "X-Key: k1").out == '"k1"\n'
    assert call("notes/who", "--auth").out == '"renewed"\n'
    assert call("notes/who", "--auth-path", "/__ws/auth").out == '"renewed"\n'


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("-H", "X-Key: wrong"), "the server answered HTTP 401"),
        (("-H", "X-Key: expired", "--auth"), "the auth path answered HTTP 401"),
    ],
)
def test_who_is_refused_is_told_how_to_say_who_it_is(call: Run, flags: tuple[str, ...], said: str) -> None:
    ended = call("notes/who", *flags)
    assert ended.code == 3
    assert said in ended.err
    assert "next: say who you are with --cookie NAME=VALUE" in ended.err
    assert "wrong" not in ended.err
    assert "expired" not in ended.err


def test_an_error_of_the_server_ends_with_1(call: Run) -> None:
    ended = call("notes/full")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == 'error: FULL: no room\\u001b[31m\n  data: {"left":0}\n'
    ended = call("notes/full", "--json")
    assert ended.code == 1
    assert ended.data == {
        "ok": False,
        "error": {
            "code": "FULL",
            "message": "no room\x1b[31m",
            "data": {"left": 0},
            "hint": "",
            "exit": 1,
        },
    }


def test_errors_say_what_to_do_next(call: Run) -> None:
    ended = call("notes/add", "3")
    assert ended.code == 1
    assert "error: VALIDATION: Validation failed\n  text: Expected `str`, got `int`\n" in ended.err
    assert "'\"3\"' is the text 3" in ended.err
    assert "next: `realtime routes` lists the paths" in call("notes/no").err
    assert "next: try again in 1.5 seconds" in call("notes/limited").err
    assert "next: `realtime routes` lists the paths" in call("notes//no").err
    assert "bytes are sent with --binary FILE" in call("notes/size", "1").err
    ended = call("notes/slow", "--timeout", "0.5")
    assert ended.code == 1
    assert "TIMEOUT" in ended.err
    assert "next: --timeout SECONDS waits longer" in ended.err


def test_without_a_server_it_ends_with_3(project: Path) -> None:
    ended = realtime("call", "notes/who", "--url", "http://127.0.0.1:1", cwd=project)
    assert ended.code == 3
    assert ended.err == (
        "error: cannot connect to ws://127.0.0.1:1/ws: nothing listens there\n"
        "  next: start the server with `realtime dev`, or say where it is with --url\n"
    )
    failed = realtime("call", "x/y", "--url", "ws://a:secret@127.0.0.1:1/?t=secret", "--json", cwd=project)
    assert failed.data["error"]["exit"] == 3
    assert "secret" not in failed.out + failed.err


@pytest.mark.parametrize(
    ("failure", "said", "hint"),
    [
        (
            {"kind": "auth-preflight", "status": 404, "reason": "Not Found"},
            "the auth path answered HTTP 404 Not Found",
            "leave out --auth",
        ),
        (
            {"kind": "auth-preflight", "status": 0, "reason": "network error"},
            "the auth path: network",
            "--url",
        ),
        ({"code": 4401, "reason": "gone\x1b"}, "closed the connection (4401 gone\\u001b)", "--cookie"),
        ({"code": 1006, "reason": "the server answered HTTP 404"}, "HTTP 404", "give the path"),
        ({"code": 1006, "reason": "[SSL: CERTIFICATE_VERIFY_FAILED] x"}, "VERIFY", "SSL_CERT_FILE=ca.pem"),
        ({"code": 1006, "reason": "[SSL: WRONG_VERSION_NUMBER] x"}, "WRONG", "write ws://"),
        ({"code": 1006, "reason": "did not receive a valid HTTP response"}, "valid", "write wss://"),
        (None, "no connection within 1s", "--timeout SECONDS waits longer"),
    ],
)
def test_every_way_not_to_connect_has_its_next_step(
    failure: dict[str, object] | None, said: str, hint: str
) -> None:
    remote = Remote("wss://me:secret@host/ws?token=secret", {}, 1.0)
    failed = connection_failed(remote, failure, "no connection within 1s")
    assert failed.code == 3
    assert failed.message.startswith("cannot connect to wss://host/ws: ")
    assert said in failed.message
    assert hint in failed.hint
    over = connection_failed(remote, failure, "no connection within 1s", was_open=True)
    assert over.message.startswith("the connection to wss://host/ws is over: ")


def test_the_address_is_that_of_the_settings(tmp_path: Path) -> None:
    settings = '[server]\nhost = "0.0.0.0"\nport = 1\n[websocket]\npath = "/socket"\n'
    project = write_project(tmp_path / "app", {"realtime.toml": settings})
    assert "ws://127.0.0.1:1/socket: nothing" in realtime("call", "x/y", cwd=project).err
    named = realtime("call", "x/y", "--url", "127.0.0.1:1", "--auth", cwd=project)
    assert "ws://127.0.0.1:1/socket: " in named.err
    write_project(project, {"realtime.toml": '[server]\nuds = "a.sock"\n'})
    ended = realtime("call", "x/y", cwd=project)
    assert (ended.code, "a Unix socket" in ended.err, "next: name an address" in ended.err) == (2, True, True)
    ended = realtime("call", "x/y", cwd=tmp_path)
    assert ended.code == 2
    assert "which server?" in ended.err
    assert "--url ws://HOST:PORT/ws (also: REALTIME_URL=...)" in ended.err


@pytest.mark.parametrize(
    "flags",
    [
        ("--url", "ftp://host"),
        ("--url", "http://"),
        ("--url", "ws://host:port"),
        ("--header", "secret"),
        ("--header", "a b: secret"),
        ("--header", "a: secret\r\nb: c"),
        ("--cookie", "secret"),
        ("--cookie", "a=secret; b"),
        ("--timeout", "0"),
        ("--timeout", "inf"),
        ("--auth-path", "relative"),
    ],
)
def test_flags_that_cannot_be_used_end_with_2(flags: tuple[str, str], tmp_path: Path) -> None:
    ended = realtime("call", "x/y", "--url", "ws://127.0.0.1:1", *flags, cwd=tmp_path)
    assert ended.code == 2
    assert flags[0] in ended.err
    assert "next:" in ended.err
    assert "secret" not in ended.err


def test_ctrl_c_ends_with_130(project: Path, address: str) -> None:
    command = [*PROGRAM, "call", "notes/slow", "-v"]
    child = subprocess.Popen(
        command,
        cwd=project,
        env=environment({"REALTIME_URL": address}),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    assert "connected to" in child.stderr.readline()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err) == (130, "", "")


def test_a_person_reads_it_indented_and_coloured(project: Path, address: str) -> None:
    keeper, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    value = '{"text": "a\\u009b", "list": [1, true, null], "none": {}, "empty": []}'
    done = subprocess.run(
        [*PROGRAM, "call", "notes/echo", value],
        cwd=project,
        env=environment({"REALTIME_URL": address, "TERM": "xterm"}),
        stdout=terminal,
        check=False,
    )
    os.close(terminal)
    with open(keeper, "rb", buffering=0) as screen:  # noqa: PTH123
        text = screen.read(65536).decode().replace("\r\n", "\n")
    assert done.returncode == 0
    assert text == (
        "{\n"
        '  \x1b[36m"text"\x1b[0m: \x1b[32m"a\\u009b"\x1b[0m,\n'
        '  \x1b[36m"list"\x1b[0m: [\n'
        "    \x1b[33m1\x1b[0m,\n"
        "    \x1b[35mtrue\x1b[0m,\n"
        "    \x1b[35mnull\x1b[0m\n"
        "  ],\n"
        '  \x1b[36m"none"\x1b[0m: {},\n'
        '  \x1b[36m"empty"\x1b[0m: []\n'
        "}\n"
    )
