"""The API's documentation: /openapi.json, and /docs, which loads nothing from elsewhere and works behind any prefix."""

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.document.examples import add_examples
from api.document.operations import name_operations
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

DESCRIPTION = """Finds and verifies work email addresses. A run takes contacts, and its state says how far it is.

Every call needs an API key, as `Authorization: Bearer <api key>`; every error is `{"detail": "a sentence that says what
to do"}`. `growth-client` is a client for Python."""

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
    app.add_api_route("/docs/start.js", _start, include_in_schema=False, response_class=Response)


PAGE = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Growth engine: API</title>
<link rel="stylesheet" href="{ASSETS}/swagger-ui.css">
<link rel="icon" href="{ASSETS}/favicon.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{ASSETS}/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  layout: "BaseLayout",
  presets: [SwaggerUIBundle.presets.apis],
  validatorUrl: null,
});
"""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from elsewhere, and no script within the page."""


def _page() -> HTMLResponse:
    return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"})


def _start() -> Response:
    return Response(START, media_type="text/javascript")


def _once(app: FastAPI, servers: list[dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                description=DESCRIPTION,
                routes=app.routes,
                servers=servers,
            )
            made["components"]["schemas"] |= _shapes_of_bodies()
            name_operations(made)
            add_examples(made)
            app.openapi_schema = made
        return app.openapi_schema

    return document


def _shapes_of_bodies() -> Mapping[str, Any]:
    _, definitions = models_json_schema([(shape, "validation") for shape in BODIES], ref_template=_REF)
    shapes: Mapping[str, Any] = definitions["$defs"]
    return shapes
