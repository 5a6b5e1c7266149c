"""One production server for all attacks of a worker process; whoever disturbs it fails the next test as well."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.server.attacks.people import Attacker, attacker
from tests.server.attacks.target import SECRET, TOKEN, Target, target

#: Both ways in which a production server reads frames.
LINKS = {"fast path": "", "asgi": '[websocket]\nfast_path = "off"\n'}


@pytest.fixture(scope="package", params=LINKS)
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Target]:
    """`realtime serve` with the app, for every test of the package."""
    with target(tmp_path_factory.mktemp("attacks"), LINKS[request.param]) as running:
        yield running
        said = running.said()
    # Whatever was done to it: no secret in its log, and nothing that it did not expect.
    assert TOKEN not in said
    assert SECRET not in said
    assert "assert]" not in said


@pytest.fixture
async def mallory(server: Target) -> AsyncIterator[Attacker]:
    """An attacker, while the victim works undisturbed."""
    async with attacker(server) as somebody:
        yield somebody
