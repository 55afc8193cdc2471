"""What keeps other sites out: headers of each answer, and where a change may come from."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import answer
from settings import Settings

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: browsers would then send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FROM_ELSEWHERE = "This form was not sent from a page of this site: open the page, and send it from there."


class Guarded:
    """Middleware that adds the headers, and refuses changes that another site sends in the browser's name."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, unless the request is a change from elsewhere."""

        async def add_and_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if scope["type"] == "http" and scope["method"] not in SAFE and not _is_from_here(scope):
            await answer(403, FROM_ELSEWHERE)(scope, receive, add_and_send)
            return
        await self._app(scope, receive, add_and_send)


def is_https(scheme: str, settings: Settings) -> bool:
    """Whether the browser talks to us encrypted: to us, or to the proxy that `PUBLIC_URL` names."""
    return scheme == "https" or settings.public_url.startswith("https://")


def _is_from_here(scope: Scope) -> bool:
    """Whether the page that sent a change is ours. The cookie's `SameSite` says the same; this does not rely on it."""
    headers = Headers(scope=scope)
    settings: Settings = scope["app"].state.resources.settings
    if "sec-fetch-site" in headers:
        return headers["sec-fetch-site"] == "same-origin"
    ours = {headers.get("host", ""), urlsplit(settings.public_url).netloc} - {""}
    return urlsplit(headers.get("origin", "")).netloc in ours
