from __future__ import annotations

import asyncio


class Scheduler:
    def start(self) -> None:
        self.task = asyncio.ensure_future(asyncio.sleep(3600))


scheduler = Scheduler()
