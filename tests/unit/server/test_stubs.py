"""The generated client modules. Spec: live-api 21.1 and 25.7."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace

import pytest
from starlette.requests import Request

from runtime.core.settings import ServerSettings, Settings, WebSocketSettings
from runtime.live.loader import LiveLoader
from runtime.server import clientfile

DEV = Settings(server=ServerSettings(env="dev"))

TODOS = '''
from runtime import live

_private = 1
async def plain(ctx): ...

@live
async def add(ctx, title: str, done: bool = False, *tags: str):
    """Add a task.

    Ends the comment: */ alert(1)
    """

@live
async def delete(ctx, id: int):
    pass

@live.stream("todos", merge="crud", key="id", prepend=True, max=50)
async def todos(ctx):
    return []

@live.stream(lambda ctx, room: f"room:{room}", merge="set")
async def room(ctx, room: str):
    return []
'''
USERS = """
from runtime import live

@live
async def names(ctx):
    return []
"""


@pytest.fixture
def make_live(make_site):
    """A site whose live modules are loaded from files."""
    loaders = []

    def make(files, settings=None):
        site = make_site({f"live/{name}": text for name, text in files.items()}, settings=settings)
        loader = LiveLoader(site.project, site.project / "live")
        loader.package.install()
        loaders.append(loader)
        site.live.registry = loader.load().registry
        return site

    yield make
    for loader in loaders:
        loader.close()


def test_stub_has_one_export_per_endpoint(make_live):
    site = make_live({"todos.py": TODOS})
    answer = site.get("/live/todos.js")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.text == (
        'import { __rpc, __stream } from "./client.js";\n'
        'export const add = __rpc("todos/add");\n'
        'const $delete = __rpc("todos/delete");\n'
        "export { $delete as delete };\n"
        'export const todos = __stream("todos/todos", {"merge":"crud","key":"id","prepend":true,"max":50}, false);\n'
        'export const room = __stream("todos/room", {"merge":"set"}, true);\n'
    )


def test_stub_of_a_module_in_a_folder_imports_the_client_from_above(make_live):
    site = make_live({"admin/users.py": USERS, "admin/deep/more.py": USERS})
    assert site.get("/live/admin/users.js").text == (
        'import { __rpc } from "../client.js";\nexport const names = __rpc("admin/users/names");\n'
    )
    assert 'from "../../client.js"' in site.get("/live/admin/deep/more.js").text


def test_stub_of_a_module_without_endpoints_is_a_module(make_live):
    assert make_live({"empty.py": "x = 1\n"}).get("/live/empty.js").text == "export {};\n"


def test_other_socket_path_is_told_to_the_client(make_live):
    settings = Settings(websocket=WebSocketSettings(path="/rt"))
    assert make_live({"users.py": USERS}, settings).get("/live/users.js").text == (
        'import { __rpc, __defaults } from "./client.js";\n'
        '__defaults({"path":"/rt"});\n'
        'export const names = __rpc("users/names");\n'
    )


def test_comments_are_in_dev_only(make_live):
    text = make_live({"todos.py": TODOS}, DEV).get("/live/todos.js").text
    assert "/**\n * add(title, done?, ...tags), live/todos.py:7\n *\n * Add a task.\n" in text
    assert "*/ alert" not in text
    assert "* todos, live/todos.py:" in text
    assert "* room(room), live/todos.py:" in text


def test_stub_has_etag_of_its_content_and_is_asked_for_each_time(make_live):
    site = make_live({"todos.py": TODOS, "users.py": USERS})
    first = site.get("/live/todos.js")
    assert first.headers["cache-control"] == "no-cache"
    assert first.headers["x-content-type-options"] == "nosniff"
    assert site.get("/live/todos.js", {"if-none-match": first.headers["etag"]}).status_code == 304
    assert site.head("/live/todos.js").headers["content-length"] == str(len(first.content))
    assert site.get("/live/users.js").headers["etag"] != first.headers["etag"]
    assert site.client.request("POST", "/live/todos.js").status_code == 405


def test_new_registry_gives_new_stubs(make_live):
    site = make_live({"todos.py": TODOS})
    before = site.get("/live/todos.js")
    assert site.get("/live/todos.js").content == before.content
    registry = site.live.registry
    module = registry.modules["todos"]
    fewer = replace(module, endpoints=module.endpoints[:1])
    site.live.registry = replace(registry, modules={"todos": fewer})
    after = site.get("/live/todos.js")
    assert after.text == 'import { __rpc } from "./client.js";\nexport const add = __rpc("todos/add");\n'
    assert after.headers["etag"] != before.headers["etag"]


def test_endpoint_that_cannot_be_called_is_not_exported(make_live):
    site = make_live({"a.py": TODOS, "b.py": TODOS.replace("async def add", "async def other")})
    assert any(problem.kind == "DuplicateTopic" for problem in site.live.registry.problems)
    text = site.get("/live/b.js").text
    assert "export const other" in text
    assert "todos" not in text


@pytest.mark.parametrize("name", ["nothing", "admin", "todos/add", "../realtime", "__init__", "", "todos.py"])
def test_unknown_module_is_404(make_live, name):
    site = make_live({"todos.py": TODOS, "admin/users.py": USERS})
    answer = site.get(f"/live/{name}.js")
    assert (answer.status_code, answer.text) == (404, "Not Found")


def test_unknown_module_in_dev_lists_the_known_ones(make_live):
    site = make_live({"todos.py": TODOS, "admin/users.py": USERS}, DEV)
    answer = site.get("/live/todo.js")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "no live module 'todo': live/todo.py does not exist" in answer.text
    assert "/live/admin/users.js" in answer.text
    assert "/live/todos.js" in answer.text


def test_unknown_module_of_a_project_without_any(make_live):
    assert "There are none in live/ yet." in make_live({}, DEV).get("/live/todo.js").text


def run_module(tmp_path, client: str, source: str, page: str) -> str:
    """Run a page's module in node, with a stub and a client beside it."""
    for name, text in {
        "client.js": client,
        "todos.js": source,
        "page.js": page,
        "package.json": '{"type":"module"}',
    }.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(["node", tmp_path / "page.js"], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


FAKE_CLIENT = """
export const __rpc = (path) => ["rpc", path];
export const __stream = (path, options, isDynamic) => ["stream", path, options, isDynamic];
"""


def test_stub_is_javascript(make_live, tmp_path):
    stub = make_live({"todos.py": TODOS}, DEV).get("/live/todos.js").text
    page = 'import * as all from "./todos.js"; console.log(JSON.stringify(all));'
    assert json.loads(run_module(tmp_path, FAKE_CLIENT, stub, page)) == {
        "add": ["rpc", "todos/add"],
        "delete": ["rpc", "todos/delete"],
        "room": ["stream", "todos/room", {"merge": "set"}, True],
        "todos": ["stream", "todos/todos", {"merge": "crud", "key": "id", "prepend": True, "max": 50}, False],
    }


BROKEN = {
    "syntax": TODOS + "\n@live\nasync def broken(ctx:\n",
    "import": TODOS + '\nraise RuntimeError("no </script> `${x}` \\"quotes\\"\\u2028")\n',
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_module_that_does_not_import_throws_the_problem_in_dev(make_live, tmp_path, text):
    site = make_live({"todos.py": text}, DEV)
    answer = site.get("/live/todos.js")
    assert answer.status_code == 200
    page = 'import { add, todos } from "./todos.js"; console.log(add, todos);'
    output = run_module(tmp_path, FAKE_CLIENT, answer.text, page)
    problem = site.live.registry.problems[0]
    assert f"Error: live/todos.py:{problem.line}: {problem.kind}: {problem.message.splitlines()[0]}" in output
    assert "does not provide an export" not in output


def test_module_that_does_not_import_is_404_outside_dev(make_live):
    assert make_live({"todos.py": BROKEN["syntax"]}).get("/live/todos.js").text == "Not Found"


def test_client_is_the_readable_file_in_dev(make_live):
    answer = make_live({}, DEV).get("/live/client.js")
    assert answer.content == clientfile.CLIENT_FILE.read_bytes()
    assert b"export function __stream(" in answer.content


def test_client_is_the_small_file_of_the_package_elsewhere(make_live):
    site = make_live({})
    answer = site.get("/live/client.js")
    assert answer.content == clientfile.PACKED_CLIENT_FILE.read_bytes()
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert site.get("/live/client.js", {"if-none-match": answer.headers["etag"]}).status_code == 304
    assert site.mounted("/rt").get("/rt/live/client.js").content == answer.content


def test_client_file_is_read_again_when_asked_to(make_live, tmp_path):
    file = tmp_path / "client.js"
    file.write_text("one")
    kept, fresh = clientfile.ClientFile(file), clientfile.ClientFile(file, fresh=True)
    request = Request({"type": "http", "method": "GET", "headers": []})
    assert (kept.respond(request).body, fresh.respond(request).body) == (b"one", b"one")
    file.write_text("another")
    assert (kept.respond(request).body, fresh.respond(request).body) == (b"one", b"another")
