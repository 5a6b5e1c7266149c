"""Reload latency: from an editor's save to the changed answer.

Ours: 50 live modules, 100 connected clients that hold a subscription, and one more that calls the changed
function over its open socket until the answer changes. Beside it `uvicorn --reload` with 50 modules and a
plain Starlette application, asked over HTTP, since it drops every socket. A save is a temporary file renamed
over the module.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.case import QUICK, Case, Figure, Measurement, Run, percentile
from bench.processes import free_port, serving
from bench.sockets import PlainSocket

MODULES = 50
CLIENTS = 100
DEADLINE = 10.0
PAUSE = 0.15  # between an answer and the next save, longer than the watcher's debounce

LIVE_MODULE = """from runtime import live

ANSWER = {answer}


@live.public
@live
async def answer(ctx) -> int:
    return ANSWER


@live.public
@live.stream("things-{index}")
async def things(ctx) -> list[dict]:
    return []
"""
SETTINGS = '[server]\nhost = "127.0.0.1"\n\n[websocket]\nallowed_origins = "*"\n'
PLAIN_MODULE = "ANSWER = {answer}\n\n\nasync def answer() -> int:\n    return ANSWER\n"
PLAIN_APP = """from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

{imports}


async def answer(request):
    return PlainTextResponse(str(await parts.part_0.answer()))


app = Starlette(routes=[Route("/", answer)])
"""


def save(path: Path, text: str) -> None:
    """Replace a file as editors do: write a temporary one beside it, then rename."""
    temporary = path.with_name(f".{path.name}.tmp~")
    temporary.write_text(text)
    temporary.replace(path)


def timed_saves(path: Path, module: Callable[[int], str], ask: Callable[[], str], count: int) -> Measurement:
    """Save the module `count` times and return when each change was answered."""
    times: list[float] = []
    for answer in range(1, count + 1):
        time.sleep(PAUSE)
        began = time.perf_counter()
        save(path, module(answer))
        while ask() != str(answer):
            if time.perf_counter() - began > DEADLINE:
                raise RuntimeError(f"save {answer} was not answered after {DEADLINE} s")
            time.sleep(0.0005)
        times.append((time.perf_counter() - began) * 1000)
    return {"p50_ms": percentile(times, 0.50), "p95_ms": percentile(times, 0.95), "saves": count}


@contextlib.contextmanager
def live_project(folder: Path) -> Iterator[tuple[int, Path]]:
    """Run `realtime dev` on a project of live modules; yield its port and the module to change."""
    (folder / "live").mkdir()
    (folder / "realtime.toml").write_text(SETTINGS)
    for index in range(MODULES):
        (folder / "live" / f"part_{index}.py").write_text(LIVE_MODULE.format(answer=0, index=index))
    port = free_port()
    command = [sys.executable, "-m", "realtime_cli", "dev", "--quiet", "--port", str(port)]
    with serving(command, port, directory=folder):
        yield port, folder / "live" / "part_0.py"


def measure_ours(count: int) -> Measurement:
    """Measure over one socket that stays open, with others beside it."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reload-")))
        port, path = stack.enter_context(live_project(folder))
        others = [stack.enter_context(PlainSocket(port)) for _ in range(CLIENTS)]
        for index, other in enumerate(others):
            other.send(f'{{"rpc":"part_{index % MODULES}/things","id":"1","args":[],"stream":true}}')
            other.receive_until('"ok":true')
        caller = stack.enter_context(PlainSocket(port))
        numbers = itertools.count(1)

        def ask() -> str:
            number = next(numbers)
            caller.send(f'{{"rpc":"part_0/answer","id":"{number}","args":[]}}')
            reply = caller.receive_until(f'"event":"{number}"')
            return reply.partition('"data":{')[2].partition('"data":')[2].rstrip("}")

        figures = timed_saves(path, lambda answer: LIVE_MODULE.format(answer=answer, index=0), ask, count)
        for other in others:  # every socket is still the same one and answers
            other.send('{"rpc":"part_1/answer","id":"alive","args":[]}')
            other.receive_until('"event":"alive"')
    return figures


def measure_uvicorn(count: int) -> Measurement:
    """Measure over HTTP, with a new connection whenever the server went away."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reload-")))
        (folder / "parts").mkdir()
        (folder / "parts" / "__init__.py").write_text("")
        for index in range(MODULES):
            (folder / "parts" / f"part_{index}.py").write_text(PLAIN_MODULE.format(answer=0))
        imports = "\n".join(f"import parts.part_{index}" for index in range(MODULES))
        (folder / "app.py").write_text(PLAIN_APP.format(imports=imports))
        port = free_port()
        command = [
            sys.executable,
            "-m",
            "uvicorn",
            "app:app",
            "--reload",
            "--port",
            str(port),
            "--log-level",
            "error",
        ]
        stack.enter_context(serving(command, port, directory=folder))

        def ask() -> str:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
            try:
                connection.request("GET", "/")
                return connection.getresponse().read().decode()
            except (OSError, http.client.HTTPException):
                return "unreachable"
            finally:
                connection.close()

        first = time.perf_counter()
        while ask() != "0" and time.perf_counter() - first < DEADLINE:
            time.sleep(0.01)
        return timed_saves(
            folder / "parts" / "part_0.py", lambda answer: PLAIN_MODULE.format(answer=answer), ask, count
        )


def measure(contestant: str, run: Run) -> Measurement:
    """Return the median and the 95th percentile of the saves of one round."""
    count = 30 if contestant == "ours" or run.scale.all_peers else 12
    if run.scale.share < QUICK.share:
        count = 3
    return measure_ours(count) if contestant == "ours" else measure_uvicorn(count)


CASES = (
    Case(
        name="reload",
        title=f"reload: save to changed answer, {MODULES} modules, {CLIENTS} clients",
        figures=(
            Figure("p95_ms", "ms", higher_is_better=False),
            Figure("p50_ms", "ms", higher_is_better=False),
        ),
        contestants=("ours", "uvicorn --reload"),
        measure=measure,
        rounds=2,
        setting="saves by a temporary file and a rename; ours answers over a socket that stays open",
    ),
)
