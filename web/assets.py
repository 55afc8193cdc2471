"""The page's own files: read once, and served under names that change with their content."""

import hashlib
import mimetypes
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import NamedTuple

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
DIGITS = 12

assets = APIRouter()


class Asset(NamedTuple):
    """A file, as it is served."""

    path: str
    content: bytes
    media_type: str
    etag: str


@assets.get("/assets/{name:path}")
async def asset(request: Request, name: str) -> Response:
    """A file of the page. Its name has a hash of its content, so that it never changes."""
    found = _by_path().get(f"/assets/{name}")
    if found is None:
        raise HTTPException(404, "There is no such file.")
    headers = {**FOREVER, "ETag": found.etag}
    if found.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.content, headers=headers, media_type=found.media_type)


def asset_path(name: str) -> str:
    """Where a file is served, such as `/assets/style.0123456789ab.css`. Raises KeyError for one that is not there."""
    return by_name()[name].path


@cache
def by_name() -> Mapping[str, Asset]:
    """All files, by their names in `web/static`."""
    return {name: _read(name, file) for name, file in _files_in(files("web") / "static", "")}


@cache
def _by_path() -> Mapping[str, Asset]:
    return {each.path: each for each in by_name().values()}


def _files_in(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        found += _files_in(entry, f"{name}/") if entry.is_dir() else [(name, entry)]
    return found


def _read(name: str, file: Traversable) -> Asset:
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:DIGITS]
    plain = PurePosixPath(name)
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Asset(f"/assets/{plain.with_suffix('')}.{digest}{plain.suffix}", content, media_type, f'"{digest}"')
