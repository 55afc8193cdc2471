"""The API's documentation: /openapi.json, and /docs, which loads nothing from elsewhere and works behind any prefix."""

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from models.hook_wire import HookBody, HookChange, HookRequest, ReplayRequest, RotationRequest
from models.privacy_wire import ErasureRequest, SuppressionEntries
from models.quote_wire import QuoteRequest, UploadQuoteRequest
from models.upload_wire import ReadingRequest
from models.wire import RunRequest

BODIES: Sequence[type[BaseModel]] = (
    RunRequest, QuoteRequest, UploadQuoteRequest, ReadingRequest, SuppressionEntries, ErasureRequest,
    HookRequest, HookChange, RotationRequest, ReplayRequest, HookBody,
)  # fmt: skip
"""The models of request bodies. Routes receive bytes and parse them piece by piece, so FastAPI can't derive these."""

ASSETS = "docs/assets"
_REF = "#/components/schemas/{model}"


def body_of(*shapes: type[BaseModel]) -> dict[str, Any]:
    """For a route's `openapi_extra`: the body is required and has one of these shapes."""
    schemas = [{"$ref": _REF.format(model=shape.__name__)} for shape in shapes]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def add_document(app: FastAPI, public_url: str) -> None:
    """Add the documentation to the application. Its URLs are relative: a proxy may add any prefix."""
    servers = [{"url": public_url or "."}]
    app.openapi = _once(app, servers)  # type: ignore[method-assign]
    app.mount(f"/{ASSETS}", StaticFiles(directory=str(files("fastapi_offline") / "static")))
    app.add_api_route("/docs", _page, include_in_schema=False, response_class=HTMLResponse)


def _page() -> HTMLResponse:
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title="Growth engine",
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon.png",
        oauth2_redirect_url=None,
    )


def _once(app: FastAPI, servers: list[dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, routes=app.routes, servers=servers)
            made["components"]["schemas"] |= _shapes_of_bodies()
            app.openapi_schema = made
        return app.openapi_schema

    return document


def _shapes_of_bodies() -> Mapping[str, Any]:
    _, definitions = models_json_schema([(shape, "validation") for shape in BODIES], ref_template=_REF)
    shapes: Mapping[str, Any] = definitions["$defs"]
    return shapes
