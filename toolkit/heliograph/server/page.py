"""The page: the latest pictures of every device in a browser, as an ASGI application.

What comes from devices is hostile: names are matched against what receivers write before a file is opened, links are
not followed, pictures are shown only as JPEG and PNG that were encoded here, and the page puts names into the document
as text. Its policy lets no other script run.

The page asks for news again and again, and is answered at once. An answer that stays open would hold one of the six
connections that a browser has for a host, in every tab; proxies keep such answers back, or end them; and a browser
does not say why it has none. For programs there are the same news as a stream of events.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from importlib import resources

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from heliograph.errors import HeliographError
from heliograph.server.guard import App, Guard, Receive, Scope, Send
from heliograph.server.live import Live

POLL = 0.1  # seconds between two looks for what is new, for each who looks on at events
ALIVE = 15.0  # seconds without news after which a comment keeps the connection up
WATCHERS = 64
POLICY = {
    "content-security-policy": "default-src 'none'; img-src 'self'; script-src 'self' {inline}; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
# nginx keeps an answer back until it is whole unless told otherwise; what compresses keeps back as well.
AS_IT_COMES = {"x-accel-buffering": "no", "cache-control": "no-store, no-transform"}
ASSETS = {"page.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}


class News(StreamingResponse):
    """What is new, as events, for as long as somebody looks on; 503 where no place is free.

    A place is taken as the answer begins and given back as it ends, whether or not a byte could be sent.
    """

    def __init__(self, live: Live, places: asyncio.Semaphore) -> None:
        super().__init__(_events(live), media_type="text/event-stream", headers=AS_IT_COMES)
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        if self._places.locked():
            full = PlainTextResponse("too many look on\n", 503, {"retry-after": "10"})
            await full(scope, receive, send)
            return
        async with self._places:
            await super().__call__(scope, receive, send)


async def _events(live: Live) -> AsyncIterator[str]:
    serial, silent = 0, 0.0
    yield "retry: 1000\nevent: start\ndata: {}\n\n"  # whoever connects again gets all again
    while not live.is_over:
        serial, changes = live.since(serial)
        for what, told in changes:
            yield f"event: {what}\ndata: {json.dumps(told)}\n\n"
        silent = 0.0 if changes else silent + POLL
        if silent >= ALIVE:
            silent = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(POLL)


def make_app(live: Live, *, token: str | None = None) -> App:
    """Return the application."""
    files = resources.files("heliograph.server")
    assets = {name: (files / name).read_bytes() for name in ASSETS}
    inline = _digests(assets["page.html"])
    policy = {name: value.replace("{inline}", inline) for name, value in POLICY.items()}
    places = asyncio.Semaphore(WATCHERS)

    def asset(name: str) -> Callable[[Request], Response]:
        return lambda request: Response(assets[name], media_type=ASSETS[name])

    async def news(request: Request) -> Response:
        at, is_anew, changes = live.news(request.query_params.get("after", ""))
        return JSONResponse({"at": at, "anew": is_anew, "news": changes})

    async def events(request: Request) -> Response:
        return News(live, places)

    def names(request: Request) -> tuple[str, str]:
        return request.path_params["device"], request.path_params["name"] + ".helio"

    async def view(request: Request) -> Response:
        jpeg = live.view(*names(request))
        return _missing() if jpeg is None else Response(jpeg, media_type="image/jpeg")

    async def picture(request: Request) -> Response:
        device, name = names(request)
        try:
            data = await run_in_threadpool(live.picture, device, name)
        except HeliographError as error:
            return PlainTextResponse(f"{error}\n", 422)
        return _missing() if data is None else _download(data, f"{device}-{name[:-6]}.png", "image/png")

    async def stream(request: Request) -> Response:
        device, name = names(request)
        entry = live.inbox.find(device, name)
        if entry is None:
            return _missing()
        try:
            data = await run_in_threadpool(entry.read)
        except HeliographError:
            return _missing()
        return _download(data, f"{device}-{name}", "application/octet-stream")

    routes = [
        Route("/", asset("page.html")),
        Route("/page.css", asset("page.css")),
        Route("/page.js", asset("page.js")),
        Route("/favicon.ico", lambda request: Response(status_code=204)),
        Route("/news", news),
        Route("/events", events),
        Route("/view/{device}/{name}.jpg", view),
        Route("/picture/{device}/{name}.png", picture),
        Route("/stream/{device}/{name}.helio", stream),
    ]
    return Guard(Starlette(routes=routes), policy, token)


def _digests(document: bytes) -> str:
    """Return by what a policy knows the scripts that stand in a document itself."""
    scripts = [part.partition(b"</script>")[0] for part in document.split(b"<script>")[1:]]
    hashes = (base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts)
    return " ".join(f"'sha256-{digest}'" for digest in hashes)


def _missing() -> Response:
    return PlainTextResponse("there is no such picture here\n", 404)


def _download(data: bytes, name: str, kind: str) -> Response:
    # Device and name passed `find`: nothing in them can end the quotes.
    return Response(data, media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})
