"""UPG127: JSON that is parsed by hand."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import flagged, stays

SOURCE = (
    "import json\nfrom runtime import create_message\n\n\ndef raw(ws, data, platform):\n    {line}\n\n\n"
    "message = create_message(on_unhandled=raw)\n"
)


@pytest.mark.parametrize(
    "source",
    [
        SOURCE.format(line="log(data)"),
        SOURCE.format(line="json.loads(data)").replace("on_unhandled", "on_error"),
        SOURCE.format(line="json.loads(data)").replace("from runtime", "from other"),
        SOURCE.format(line="json = other; json.loads(data)"),
        "import json\n\n\ndef on_unhandled(ws, data):\n    json.loads(data)\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG127", source)


@pytest.mark.spec("UPGC-60")
def test_parsing_by_hand_is_told() -> None:
    assert flagged("UPG127", SOURCE.format(line="msg = json.loads(data)")) == [("R-07", 6)]
    assert flagged("UPG127", SOURCE.format(line="x(json.loads(data.decode()))")) == [("R-07", 6)]
    other = "from runtime import create_message\nfrom raws import raw\n\nmessage = create_message(on_unhandled=raw)\n"
    raws = "import json\n\n\ndef raw(ws, data, platform):\n    return json.loads(data)\n"
    assert flagged("UPG127", other, raws=raws) == [("R-07", 4)]
