"""Who may look at the page, and under which addresses: a proxy may have put a path before them.

Without a token only this machine may look: requests whose Host is another name are refused, so that no web site can
reach the page through a name that leads here. With one, the address that holds it leaves a cookie. Browsers send
cookies to all ports of a host, so its name is of the token: pages with other tokens have theirs beside it. It is for
the path at which the page was opened, whatever the proxy made of that.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any
from urllib.parse import parse_qs, quote, unquote_to_bytes

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from heliograph.server.addresses import is_loopback

COOKIE = "heliograph_token"
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
# What is left of an address without the path that a proxy put before it.
_OWN = re.compile(
    r"/(?:page\.css|page\.js|favicon\.ico|news|events|(?:view|picture|stream)/[^/]+/[^/]+)?\Z",
)


class Guard:
    """Lets in who may look, takes a proxy's path away, and adds the policy to every answer.

    Args:
        policy: headers that every answer has, unless it has its own.
        token: that a request must carry, as a bearer or in a cookie that /?token=... sets; None: who comes from
            this machine, by one of its own names.
    """

    def __init__(self, app: App, policy: dict[str, str], token: str | None) -> None:
        self._app, self._token = app, token
        self._policy = [(name.encode(), value.encode()) for name, value in policy.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in message["headers"]}
                added = [(name, value) for name, value in self._policy if name not in names]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        if own := _OWN.search(scope["path"] or "/"):
            scope = {**scope, "path": own[0], "root_path": ""}
        await (self._refusal(Request(scope)) or self._app)(scope, receive, sealed)

    def _refusal(self, request: Request) -> Response | None:
        if request.method not in ("GET", "HEAD"):
            return _refused("only GET", 405)
        if self._token is None:
            host = request.headers.get("host", "")
            if not is_loopback(
                host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
            ):
                return _refused("this page is for this machine only; start it with a token", 403)
            return None
        # Of the address the parts are taken as they came: put together with a Host from outside it may be none.
        query = parse_qs(request.scope["query_string"].decode("latin-1"), errors="surrogateescape")
        given = query.get("token", [""])[0].encode("utf-8", "surrogateescape")
        if request.scope["path"] == "/" and self._fits(given):
            answer = RedirectResponse("./", 303)  # the token must not stay in the address
            name = f"{COOKIE}_{hashlib.sha256(given).hexdigest()[:8]}"
            value = quote(self._token, safe="", errors="surrogateescape")
            answer.set_cookie(name, value, path=None, httponly=True, samesite="lax")
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
    """Yield the values of our cookies. Browsers send those of every program on a host, and these may be anything."""
    for header in request.headers.getlist("cookie"):
        for cookie in header.split(";"):
            name, _, value = cookie.strip().partition("=")
            if name.startswith(COOKIE):
                yield unquote_to_bytes(value.encode("latin-1"))
