"""The HTTP application with its page. Start it with `uvicorn --factory web.app:create_app`."""

from fastapi import FastAPI

from api.app import create_app as create_api
from web.beside import add_pages


def create_app() -> FastAPI:
    """Create the API and the page beside it, from the settings of this process."""
    app = create_api()
    add_pages(app)
    return app
