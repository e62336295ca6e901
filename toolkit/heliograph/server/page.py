"""The page: the latest pictures of every device in a browser, as an ASGI application.

What comes from devices is hostile: names are matched against what receivers write before a file is opened, links are
not followed, pictures are shown only as JPEG and PNG that were encoded here, and the page puts names into the document
as text. Its policy lets no other script run. Without a token only this machine may look: requests whose Host is
another name are refused, so that no web site can reach it through a name that leads here.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from importlib import resources
from typing import Any
from urllib.parse import parse_qs, quote, unquote_to_bytes

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from heliograph.errors import HeliographError
from heliograph.server.live import Live

POLL = 0.1  # seconds between two looks for what is new, for each who looks on
ALIVE = 15.0  # seconds without news after which a comment keeps the connection up
WATCHERS = 64
COOKIE = "heliograph_token"
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
HEADERS = {
    "content-security-policy": "default-src 'none'; img-src 'self'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
ASSETS = {"page.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """Lets in who may look, and adds the policy to every answer.

    Args:
        token: that a request must carry, as a bearer or in a cookie that /?token=... sets; None: who comes from
            this machine, by one of its own names.
    """

    def __init__(self, app: App, token: str | None) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in message["headers"]}
                added = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in names]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await (self._refusal(Request(scope)) or self._app)(scope, receive, sealed)

    def _refusal(self, request: Request) -> Response | None:
        if request.method not in ("GET", "HEAD"):
            return _refused("only GET", 405)
        if self._token is None:
            host = request.headers.get("host", "")
            name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
            if name not in LOOPBACK:
                return _refused("this page is for this machine only; start it with a token", 403)
            return None
        # Of the address the parts are taken as they came: put together with a Host from outside it may be none.
        query = parse_qs(request.scope["query_string"].decode("latin-1"), errors="surrogateescape")
        given = query.get("token", [""])[0].encode("utf-8", "surrogateescape")
        if request.scope["path"] == "/" and self._fits(given):
            answer = RedirectResponse("/", 303)  # the token must not stay in the address
            answer.set_cookie(
                COOKIE, quote(self._token, safe="", errors="surrogateescape"), httponly=True, samesite="lax"
            )
            return answer
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ").encode("latin-1")
        if self._fits(bearer) or any(self._fits(cookie) for cookie in _cookies(request)):
            return None
        return _refused("a token is needed: open /?token=TOKEN", 401)

    def _fits(self, given: bytes) -> bool:
        return hmac.compare_digest(given, (self._token or "").encode("utf-8", "surrogateescape"))


def _refused(reason: str, status: int) -> Response:
    return PlainTextResponse(f"{reason}\n", status, {"connection": "close"})


def _cookies(request: Request) -> Iterator[bytes]:
    """Yield the values of our cookie. Browsers send those of every program on a host, and these may be anything."""
    for header in request.headers.getlist("cookie"):
        for cookie in header.split(";"):
            name, _, value = cookie.strip().partition("=")
            if name == COOKIE:
                yield unquote_to_bytes(value.encode("latin-1"))


class News(StreamingResponse):
    """What is new, as events, for as long as somebody looks on; 503 where no place is free.

    A place is taken as the answer begins and given back as it ends, whether or not a byte could be sent.
    """

    def __init__(self, live: Live, places: asyncio.Semaphore) -> None:
        super().__init__(_events(live), media_type="text/event-stream")
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
    places = asyncio.Semaphore(WATCHERS)

    def asset(name: str) -> Callable[[Request], Response]:
        return lambda request: Response(assets[name], media_type=ASSETS[name])

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
        Route("/events", events),
        Route("/view/{device}/{name}.jpg", view),
        Route("/picture/{device}/{name}.png", picture),
        Route("/stream/{device}/{name}.helio", stream),
    ]
    return Guard(Starlette(routes=routes), token)


def _missing() -> Response:
    return PlainTextResponse("there is no such picture here\n", 404)


def _download(data: bytes, name: str, kind: str) -> Response:
    # Device and name passed `find`: nothing in them can end the quotes.
    return Response(data, media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})
