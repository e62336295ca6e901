"""The page behind real proxies in their default states, over real HTTP and in real Chromium."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")

from tests.server.proxies import PROXIES, is_installed, proxy
from tests.server.served import ask, serving, until

from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.device.encoder import Encoder

Arrive = Callable[..., Path]


@pytest.fixture(scope="module")
def data(encoder: Encoder, paint: Callable[[int, int], npt.NDArray[np.uint8]]) -> bytes:
    return Encoder(encoder.codec, layered=True, base=True).encode(paint(97, 61), Rate(quality=70))


@pytest.fixture(params=PROXIES)
def before(request: pytest.FixtureRequest) -> str:
    """The name of a proxy."""
    if not is_installed(request.param):
        pytest.skip(f"no {request.param} here: apt-get install {PROXIES[request.param].program}")
    return str(request.param)


def test_events_come_as_they_happen(
    before: str, tmp_path: Path, codec: Codec, arrive: Arrive, data: bytes
) -> None:
    with serving(tmp_path / "in", codec) as behind, proxy(before, tmp_path / "proxy", behind) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/events", headers={"accept-encoding": "gzip"})
        answer = connection.getresponse()
        assert answer.getheader("content-encoding") is None
        lines = iter(lambda: answer.readline().decode(), "")
        assert next(line for line in lines if line.startswith("event")) == "event: start\n"
        arrive(tmp_path / "in", "cam", "a.helio", data, [(0, len(data))])
        assert next(line for line in lines if line.startswith("event: picture"))
        connection.close()


def test_what_lies_under_a_path_is_the_same(
    before: str, tmp_path: Path, codec: Codec, arrive: Arrive, data: bytes
) -> None:
    arrive(tmp_path / "in", "cam", "a.helio", data, [(0, len(data))])
    with serving(tmp_path / "in", codec, "s3cret") as behind, proxy(before, tmp_path / "p", behind) as port:
        status, headers, _ = ask(port, "/cams/?token=s3cret")
        assert (status, headers["location"]) == (303, "./")
        assert (
            "path" not in headers["set-cookie"].lower()
        )  # of what it was opened by, which only a browser knows
        cookie = headers["set-cookie"].partition(";")[0]
        until(lambda: ask(port, "/cams/view/cam/a.jpg", cookie=cookie)[0] == 200)
        for path in ("", "page.js", "page.css", "news", "stream/cam/a.helio", "picture/cam/a.png"):
            status, _, body = ask(port, f"/cams/{path}", cookie=cookie)
            assert (status, body) == (200, ask(behind, f"/{path}", cookie=cookie)[2])
        assert ask(port, "/cams/")[0] == 401
        assert ask(port, "/cams/none", cookie=cookie)[0] == 404
