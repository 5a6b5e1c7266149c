"""The routes that `hooks.py` names in its variable `routes`. Spec: platform 3.1.

The app is made before its hooks are loaded, so they are looked up at each request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.routing import BaseRoute, Match, NoMatchFound

if TYPE_CHECKING:
    from starlette.datastructures import URLPath
    from starlette.types import Receive, Scope, Send

    from runtime.server.assembly import Runtime

__all__ = ["HookRoutes"]

CHOSEN_KEY: Final = "realtime.hook_route"  # in the scope: the route that matched


class HookRoutes(BaseRoute):
    """Stands for the routes of the hooks, in their order."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return the first full match, or else the first one whose method is another."""
        partial: tuple[Match, Scope] = (Match.NONE, {})
        for route in self._runtime.hooks.routes:
            match, child = route.matches(scope)
            if match is Match.FULL:
                return match, {**child, CHOSEN_KEY: route}
            if match is Match.PARTIAL and partial[0] is Match.NONE:
                partial = match, {**child, CHOSEN_KEY: route}
        return partial

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the route that matched answer."""
        await scope[CHOSEN_KEY].handle(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: object) -> URLPath:
        """Return the path of the route of that name.

        Raises:
            NoMatchFound: there is none.
        """
        for route in self._runtime.hooks.routes:
            try:
                path: URLPath = route.url_path_for(name, **path_params)
            except NoMatchFound:
                continue
            return path
        raise NoMatchFound(name, path_params)
