"""Templates, and the answers that they become."""

from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from api.resources import settings_of
from web.assets import asset_path
from web.views import formats, hooks, words


@cache
def environment() -> Environment:
    """The templates. All that they show is escaped; a name that they misspell is an error."""
    made = Environment(
        loader=PackageLoader("web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(formats.FILTERS)
    made.globals.update(words.GLOBALS)
    made.globals.update(hooks.WORDS)
    return made


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """An answer with a whole page."""
    return HTMLResponse(html(request, template, **values), status)


def html(request: Request, template: str, **values: Any) -> str:
    """What a template makes of these values."""
    base = base_of(request)
    shared = {"at": lambda path: base + path, "asset": lambda name: base + asset_path(name)}
    return environment().get_template(template).render(shared | values)


def go_to(
    request: Request, path: str, query: Mapping[str, str] | None = None, *, fragment: str = ""
) -> RedirectResponse:
    """Send the browser to one of our own pages, or to a part of it."""
    more = (f"?{urlencode(query)}" if query else "") + (f"#{fragment}" if fragment else "")
    return RedirectResponse(base_of(request) + path + more, 303)


def base_of(request: Request) -> str:
    """The path under which the page is reached: that of `PUBLIC_URL`, if a proxy adds one."""
    return urlsplit(settings_of(request).public_url).path.rstrip("/")
