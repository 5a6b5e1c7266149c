"""`--fix`: what it changes, and that it changes nothing else. Spec: platform 8.1."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_cli.rules.catalog import all_rules
from realtime_cli.rules.engine import run_rules
from realtime_cli.rules.examples import environment_of, write_example
from realtime_cli.rules.finding import Edit, Finding, Severity, Span
from realtime_cli.rules.fixing import apply_edits, diff_of, fixed_texts, hidden_in, write_texts
from realtime_cli.rules.project import Project
from tests.cli.check.projects import HOOKS, LIVE, report_of

FIXING = [rule.id for rule in all_rules().values() if rule.fixes]


def fixed(root: Path, environ: dict[str, str] | None = None) -> tuple[list[Finding], list[Finding]]:
    """Mend a project on the disk; return what was found before and after."""
    variables = {"PATH": os.environ["PATH"], **(environ or {})}
    project = Project.read(root, environ=variables)
    before = run_rules(project).findings
    write_texts(root, fixed_texts(before, {**project.texts, **project.dotenv}))
    dotenv = root / ".env"
    moved = dict(line.split("=", 1) for line in dotenv.read_text().splitlines()) if dotenv.exists() else {}
    variables.update({name: value.strip("'") for name, value in moved.items()})
    return list(before), list(run_rules(Project.read(root, environ=variables)).findings)


def bytes_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.spec("PLAT-149")
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("rule", FIXING)
def test_a_mended_project_is_clean_and_stays_as_it_is(rule: str, line_end: str, tmp_path: Path) -> None:
    write_example(rule, "bad", tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text(".env\n")
    for path in tmp_path.rglob("*"):
        if path.suffix in {".py", ".toml", ".js", ".html"} and ".git" not in path.parts:
            path.write_bytes(path.read_bytes().replace(b"\n", line_end.encode()))
    untouched = bytes_of(tmp_path)
    before, after = fixed(tmp_path, environment_of(rule, "bad"))
    mended = [one for one in before if one.rule == rule and one.fixable]
    assert mended, "the example is not one that can be mended"
    assert not [one for one in after if one.rule == rule]
    assert not {one.rule for one in after} - {one.rule for one in before}
    once = bytes_of(tmp_path)
    fixed(tmp_path, environment_of(rule, "bad"))
    assert bytes_of(tmp_path) == once
    for path, raw in once.items():
        if path in untouched and line_end == "\r\n":
            assert raw.count(b"\n") == raw.count(b"\r\n") or b"\r\n" not in untouched[path], path


def text_after(tmp_path: Path, path: str, text: str, files: dict[str, str] | None = None) -> str:
    report_of(tmp_path, {path: text, **(files or {})})
    fixed(tmp_path)
    return (tmp_path / path).read_bytes().decode()


AWAITS = [
    ("await x()", "ctx.platform.subscribe(ctx.ws, 'ä' * 2)", "await ctx.platform.subscribe(ctx.ws, 'ä' * 2)"),
    ("'äöü 🎈'; await x()", "ctx.platform.request(ctx.ws, 'a')", "await ctx.platform.request(ctx.ws, 'a')"),
    (
        "",
        "ctx.platform.request(\n        ctx.ws,\n        'a',\n    )",
        "await ctx.platform.request(\n        ctx.ws,\n        'a',\n    )",
    ),
    (
        "",
        "x = ctx.platform.request(ctx.ws, 'a').value",
        "x = (await ctx.platform.request(ctx.ws, 'a')).value",
    ),
    ("", "x = ctx.platform.request(ctx.ws, 'a')[0]", "x = (await ctx.platform.request(ctx.ws, 'a'))[0]"),
    ("", "x = ctx.platform.request(ctx.ws, 'a') ** 2", "x = (await ctx.platform.request(ctx.ws, 'a')) ** 2"),
    (
        "",
        "if not ctx.platform.check_subscribe(ctx.ws, 'a'): pass",
        "if not await ctx.platform.check_subscribe(ctx.ws, 'a'): pass",
    ),
    ("", "print(ctx.platform.request(ctx.ws, 'a'))", "print(await ctx.platform.request(ctx.ws, 'a'))"),
]


@pytest.mark.spec("PLAT-149")
@pytest.mark.parametrize(("before", "call", "wanted"), AWAITS)
def test_await_is_put_where_it_belongs(before: str, call: str, wanted: str, tmp_path: Path) -> None:
    text = f"{LIVE}@live\nasync def one(ctx) -> None:\n    {before or 'pass'}\n    {call}  # a comment\n"
    assert text_after(tmp_path, "live/todos.py", text) == text.replace(call, wanted)


@pytest.mark.parametrize(
    "call",
    [
        "def inner():\n        ctx.platform.subscribe(ctx.ws, 'a')",
        "any(ctx.platform.subscribe(ctx.ws, t) for t in 'ab')",
        "f\"{ctx.platform.request(ctx.ws, 'a')}\"",
    ],
)
def test_where_await_may_not_stand_a_person_decides(call: str, tmp_path: Path) -> None:
    text = f"{LIVE}@live\nasync def one(ctx) -> None:\n    {call}\n"
    assert text_after(tmp_path, "live/todos.py", text) == text


SECRETS = [
    ("if token == TOKEN:", "if hmac.compare_digest(token, TOKEN):"),
    ("if not (token != TOKEN):", "if not (not hmac.compare_digest(token, TOKEN)):"),
    ("if 'ä' and token == TOKEN and 'ö':", "if 'ä' and hmac.compare_digest(token, TOKEN) and 'ö':"),
    ("if (token\n        == TOKEN):", "if (hmac.compare_digest(token, TOKEN)):"),
]


@pytest.mark.spec("PLAT-149")
@pytest.mark.parametrize(("line", "wanted"), SECRETS)
def test_a_comparison_becomes_compare_digest(line: str, wanted: str, tmp_path: Path) -> None:
    start = '"""Docs."""\n\nfrom __future__ import annotations\n\n# first\nimport os\n\n'
    text = f"{start}def f(token, TOKEN):\n\t{line}\n\t\tpass\n"
    after = text_after(tmp_path, "app/x.py", text)
    assert after == text.replace(line, wanted).replace("import os", "import hmac\nimport os")


@pytest.mark.parametrize(
    "text",
    [
        "def f(token, TOKEN, hmac):\n    return token == TOKEN\n",
        "from __future__ import annotations; x = 1\n\n\ndef f(token, TOKEN):\n    return token == TOKEN\n",
        'def f(token, TOKEN):\n    return f"{token == TOKEN}"\n',
        "def f(token, TOKEN):\n    return token.get(\n        1\n    ) == TOKEN\n",
    ],
)
def test_a_comparison_that_cannot_be_written_anew_stays(text: str, tmp_path: Path) -> None:
    after = text_after(tmp_path, "app/x.py", text)
    assert after == text or compile(after, "x", "exec")
    if "from __future__" in text or "hmac)" in text or 'f"' in text:
        assert after == text


COOKIES = [
    ('cookies.set("sid", "x")', 'cookies.set("sid", "x", http_only=True, secure=True, same_site="lax")'),
    ('cookies.set("sid", "x",)', 'cookies.set("sid", "x", http_only=True, secure=True, same_site="lax",)'),
    (
        'cookies.set(\n        "sid",\n        "ä",  # it (is)\n    )',
        'cookies.set(\n        "sid",\n        "ä", http_only=True, secure=True, same_site="lax",  # it (is)\n    )',
    ),
    (
        'cookies.set("sid", "x", secure=True)',
        'cookies.set("sid", "x", secure=True, http_only=True, same_site="lax")',
    ),
    (
        'cookies.set("sid", f("x"))',
        'cookies.set("sid", f("x"), http_only=True, secure=True, same_site="lax")',
    ),
    ('cookies.set("sid", ("x"))', 'cookies.set("sid", ("x"), http_only=True, secure=True, same_site="lax")'),
    ('cookies.set("sid", "x", secure=False)', 'cookies.set("sid", "x", secure=False)'),
]


@pytest.mark.spec("PLAT-149")
@pytest.mark.parametrize(("call", "wanted"), COOKIES)
def test_a_cookie_gets_what_it_lacks(call: str, wanted: str, tmp_path: Path) -> None:
    text = HOOKS + f"async def authenticate(cookies):\n    {call}\n    return True\n"
    assert text_after(tmp_path, "hooks.py", text) == text.replace(call, wanted)


SUBSCRIPTIONS = [
    ("ctx.ws.subscribe(f'a:{ctx.user}')", "await ctx.platform.subscribe(ctx.ws, f'a:{ctx.user}')"),
    ("c.ws.subscribe(\n        ctx.x\n    )", None),
    ("x = ctx.ws.subscribe(ctx.x)", None),
    ("(lambda: ctx.ws.subscribe(ctx.x))()", None),
]


@pytest.mark.spec("PLAT-149")
@pytest.mark.parametrize(("call", "wanted"), SUBSCRIPTIONS)
def test_a_subscription_goes_through_the_gate(call: str, wanted: str | None, tmp_path: Path) -> None:
    text = f"{LIVE}@live\nasync def one(ctx) -> None:\n    {call}\n"
    assert text_after(tmp_path, "live/todos.py", text) == text.replace(call, wanted or call)


SETTINGS = [
    ("[websocket]\npng = true\n", "[websocket]\nping = true\n"),
    ('[websocket]\n"pathh" = "/ws"  # pathh\n', None),
    ('[websocket]\npathh = "/pathh"  # pathh\n', '[websocket]\npath = "/pathh"  # pathh\n'),
    ('websocket = {pathh = "/ws"}\n', 'websocket = {path = "/ws"}\n'),
    ("websoket.ping = true\n", "websocket.ping = true\n"),
    ("[websoket]\nping = true\n", "[websocket]\nping = true\n"),
    ("[security]\nallow_system_topic_subscrib = true\n", None),
    ('[websocket]\nallowed_origin = "*"\n', None),
    ("[securityy]\nallow_non_ascii_topics = true\n", None),
    ("[websocket]\npathh = '/a'\npath = '/b'\n", None),
    ('[websocket]\npath = "ws"\n', '[websocket]\npath = "/ws"\n'),
    ("[websocket]\npath = 'ä'  # 'ä'\n", "[websocket]\npath = '/ä'  # 'ä'\n"),
    ("[websocket]\nws_debug = true  # why\nping = true\n", "[websocket]\nping = true\n"),
    ("[websocket]\nping = true\nws_debug = true", "[websocket]\nping = true"),
    ("websocket.ws_debug = true\nwebsocket.ping = true\n", "websocket.ping = true\n"),
    ("websocket = {ws_debug = true}\n", None),
    ("[env.dev.websocket]\nws_debug = true\n", None),
]


@pytest.mark.spec("PLAT-149")
@pytest.mark.parametrize(("text", "wanted"), SETTINGS)
def test_settings_are_mended_where_that_opens_nothing(text: str, wanted: str | None, tmp_path: Path) -> None:
    assert text_after(tmp_path, "realtime.toml", text) == (wanted or text)


COMMENTS = [
    ("x = 1  # realtime: ignore[LIV003]\n", "x = 1\n"),
    ("x = 1  # realtime: ignore[LIV003] because äöü\ny = 2\n", "x = 1\ny = 2\n"),
    ("x = 1  # realtime: ignore[LIV003]  # noqa: E501\n", "x = 1  # noqa: E501\n"),
    ("x = 1  # noqa: E501  # realtime: ignore[NOP001]\n", "x = 1  # noqa: E501\n"),
    ("# realtime: ignore-file[LIV003]\nx = 1\n", "x = 1\n"),
    ("x = '# realtime: ignore[LIV003]'\n", None),
    (
        "def f(token, x):\n    return token == x  # realtime: ignore[LIV003, SEC030, LIV014]\n",
        "def f(token, x):\n    return token == x  # realtime: ignore[SEC030]\n",
    ),
    ("def f(token, x):\n    return token == x  # realtime: ignore[SEC030] it is no secret\n", None),
    ("x = 1  # realtime: ignore[LIV003, CFG020]\n", None),
]


@pytest.mark.spec("PLAT-149")
@pytest.mark.parametrize(("text", "wanted"), COMMENTS)
def test_what_takes_nothing_back_is_removed(text: str, wanted: str | None, tmp_path: Path) -> None:
    assert text_after(tmp_path, "app/x.py", text) == (wanted or text)


def test_a_comment_in_the_settings_is_removed_and_a_text_stays(tmp_path: Path) -> None:
    text = '[server]\norigin = "https://a.example/#x"  # realtime: ignore[LIV003]\nweb = "w#b"\n'
    after = text_after(tmp_path, "realtime.toml", text)
    assert after == text.replace("  # realtime: ignore[LIV003]", "")


def test_a_suppression_in_a_page_is_left_to_a_person(tmp_path: Path) -> None:
    text = '<a href="#">x</a> {# realtime: ignore[SEC033] #}\n'
    assert text_after(tmp_path, "web/x.html.j2", text) == text


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    report_of(tmp_path, {})
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    text = (tmp_path / "realtime.toml").read_text()
    (tmp_path / "realtime.toml").write_text(text + '\n[redis]\nurl = "rediss://u:geheim@h"  # here\n')
    return tmp_path


@pytest.mark.spec("PLAT-149")
def test_a_secret_moves_to_an_ignored_file_and_is_not_shown(repository: Path) -> None:
    (repository / ".gitignore").write_text(".env\n")
    (repository / ".env").write_text("OTHER=1")
    project = Project.read(repository, environ={"PATH": os.environ["PATH"]})
    texts = {**project.texts, **project.dotenv}
    findings = run_rules(project).findings
    changed = fixed_texts(findings, texts)
    assert changed[".env"] == "OTHER=1\nREDIS_URL='rediss://u:geheim@h'\n"
    assert '"env:REDIS_URL"  # here' in changed["realtime.toml"]
    shown = diff_of(
        "realtime.toml", texts["realtime.toml"], changed["realtime.toml"], hidden_in(findings, texts)
    )
    assert "geheim" not in shown
    assert "env:REDIS_URL" in shown
    write_texts(repository, changed)
    again = run_rules(Project.read(repository, environ={"PATH": os.environ["PATH"]})).findings
    assert "SEC020" not in {one.rule for one in again}


def test_a_new_file_for_secrets_is_for_its_owner_alone(repository: Path) -> None:
    (repository / ".gitignore").write_text(".env\n")
    fixed(repository)
    assert (repository / ".env").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("ignored", ["", "realtime.toml\n"])
def test_a_secret_stays_where_git_would_see_it(ignored: str, repository: Path) -> None:
    (repository / ".gitignore").write_text(ignored)
    before, _ = fixed(repository)
    assert "geheim" in (repository / "realtime.toml").read_text()
    assert not (repository / ".env").exists()
    assert ("SEC020" in {one.rule for one in before}) == (not ignored)


def finding(*edits: Edit) -> Finding:
    return Finding("X", Severity.ERROR, "a.py", Span(1), "m", "f", edits)


def test_the_edits_of_a_finding_are_made_together_or_not_at_all() -> None:
    texts = {"a.py": "x = 1\n", "b.py": "y = 2\n"}
    good, broken = Edit("a.py", Span(1, 5, 1, 6), "3"), Edit("b.py", Span(1, 5, 1, 6), "(")
    assert fixed_texts([finding(good, broken)], texts) == {}
    assert fixed_texts([finding(good, broken), finding(good)], texts) == {"a.py": "x = 3\n"}
    assert fixed_texts([finding(good, Edit("c.py", Span(1), "z"))], texts) == {}
    over = Edit("a.py", Span(1, 1, 1, 6), "z = 4")
    assert fixed_texts([finding(good), finding(over, Edit("b.py", Span(1, 5, 1, 6), "9"))], texts) == {
        "a.py": "x = 3\n"
    }


def test_line_ends_and_the_mark_stay_as_they_are(tmp_path: Path) -> None:
    raw = b"\xef\xbb\xbfa = 1\r\nb = 2\nc = '\xc3\xa4'\rd = 4\r\n"
    (tmp_path / "x.py").write_bytes(raw)
    write_texts(tmp_path, {"x.py": "a = 1\nb = 3\nnew = 5\nc = 'ä'\nd = 4\n"})
    assert (tmp_path / "x.py").read_bytes() == raw.replace(b"b = 2\n", b"b = 3\nnew = 5\r\n")


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out.py"
    inside.mkdir()
    outside.write_text("x = 1\n")
    (inside / "x.py").symlink_to(outside)
    with pytest.raises(OSError, match="outside"):
        write_texts(inside, {"x.py": "x = 2\n"})
    assert outside.read_text() == "x = 1\n"


def test_a_write_that_fails_leaves_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.py").write_text("x = 1\n")

    def fail(self: Path, target: Path) -> Path:
        raise OSError("the disk is full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="full"):
        write_texts(tmp_path, {"x.py": "x = 2\n"})
    assert [path.name for path in tmp_path.iterdir()] == ["x.py"]
    assert (tmp_path / "x.py").read_text() == "x = 1\n"


@given(st.lists(st.sampled_from(["a", "ä", "🎈", "\t", ""]), min_size=1, max_size=6), st.data())
def test_an_edit_changes_its_stretch_and_nothing_else(lines: list[str], data: st.DataObject) -> None:
    text = "\n".join(lines)
    line = data.draw(st.integers(1, len(lines)))
    column = data.draw(st.integers(1, len(lines[line - 1]) + 1))
    end = data.draw(st.integers(column, len(lines[line - 1]) + 1))
    lines[line - 1] = lines[line - 1][: column - 1] + "new" + lines[line - 1][end - 1 :]
    assert apply_edits(text, [Edit("x", Span(line, column, line, end), "new")]) == "\n".join(lines)
