from __future__ import annotations

import asyncio

from runtime.plugins import Leader


class Scheduler:
    def start(self) -> None:
        self.task = asyncio.ensure_future(asyncio.sleep(3600))


scheduler = Scheduler()
leader = Leader()
