"""`[devtools]`: who may look into a running server. Spec: live-api 21.2, platform 4."""

from __future__ import annotations

from typing import Annotated

from runtime.core import metrickinds
from runtime.core import settingkinds as kinds
from runtime.core.settingsection import Key, Section

__all__ = ["DevtoolsSettings"]


class DevtoolsSettings(Section, frozen=True, kw_only=True):
    """`[devtools]`: the page `/__realtime` outside of dev, and what nobody gets to see on it."""

    enabled: Annotated[
        bool,
        Key(
            kinds.boolean(),
            "Answer with the devtools page outside of dev as well; needs a `token`.",
        ),
    ] = False
    token: Annotated[
        str | None,
        Key(
            metrickinds.secret(),
            "Who opens the page sends it as password, or as `Authorization: Bearer ...`; write `env:NAME`.",
            secret=True,
        ),
    ] = None
    redact: Annotated[
        tuple[str, ...],
        Key(
            kinds.text_list(kinds.text_line(), "names of fields"),
            "Further fields whose values the devtools never show, such as `iban`.",
        ),
    ] = ()
