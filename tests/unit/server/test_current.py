"""The platform and settings of the process, for code that nobody hands them to. Spec: live-api 17.3, platform 2.8."""

from __future__ import annotations

import pytest

import runtime
from runtime.core import currentplatform
from runtime.core.errors import PlatformNotReady
from runtime.core.settings import ServerSettings, Settings
from runtime.server import current
from tests.unit.core.parts import Core


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(currentplatform, "_current", [])


def test_before_an_app_was_started_there_is_none() -> None:
    assert runtime.get_platform() is None
    with pytest.raises(PlatformNotReady, match=r"settings\(\) was called before the app was started"):
        runtime.settings()
    with pytest.raises(RuntimeError, match=r"publish\(\) was called before the app was started"):
        runtime.publish("a", "e")


async def test_the_latest_app_has_it_until_it_stops() -> None:
    first, second = Core(), Core()
    settings = [Settings(server=ServerSettings(env=env)) for env in ("test", "dev")]
    current.set_platform(first.platform, settings[0])
    current.set_platform(second.platform, settings[1])
    assert (runtime.get_platform(), runtime.settings()) == (second.platform, settings[1])
    peer = second.connect("a")
    assert runtime.publish("a", "e", 5, seq=False) is True
    assert second.events(peer) == [("a", "e", 5, None)]
    current.forget_platform(second.platform)
    assert (runtime.get_platform(), runtime.settings()) == (first.platform, settings[0])
    assert runtime.publish("a", "e") is False
    current.forget_platform(second.platform)
    current.forget_platform(first.platform)
    assert runtime.get_platform() is None
