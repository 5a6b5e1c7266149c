"""`render`: a page of `web/` with what a route of the app has for it. Spec: live-api 19, platform 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.server.pages import TemplatePage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["render"]


async def render(
    request: Request,
    name: str,
    context: Mapping[str, Any] | None = None,
    *,
    status_code: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer with a rendered template, as the pages of `web/` are: with the import map in its head.

    The template sees `context`, `request`, `prefix` (where the app is mounted), `live_data`, `live_error`, and `load`
    and `preload`, which are those of `live` for the app's platform.

    Args:
        request: of a route of the app, in `hooks.py` or given to `create_app`.
        name: the file below `web/`, as in `"_room.html.j2"`. One that begins with `_` is no page by itself.
        context: further names.
        status_code: of the answer.
        headers: of the answer, beside those of every page.

    Raises:
        RuntimeError: the request is none of the app's. TemplateNotFound: there is no such file.
    """
    runtime = getattr(request.scope["app"].state, "runtime", None)
    if runtime is None or runtime.static is None:
        raise RuntimeError(
            "render: this is no request of an app with a project; name the route in hooks.py, or render with "
            "Starlette's Jinja2Templates and its env.globals.update(live_data=live_data)"
        )
    page = TemplatePage(name, runtime.static.templates, runtime.page_snippets)
    return await page.respond(request, context, status_code=status_code, headers=headers)
