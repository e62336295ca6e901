"""The page in real Chromium: in many tabs, on a phone, under paths, and through everything that restarts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("playwright")
pytest.importorskip("uvicorn")
pytest.importorskip("starlette")

from tests.server.proxies import free_port, is_installed, proxy
from tests.server.served import serving

from heliograph.bench.browser import BROWSERS, chromium
from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.device.encoder import Encoder

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, BROWSERS)), reason="no Chromium here: apt-get install chromium"
)
Arrive = Callable[..., Path]
NAME = "20260101T000001.000000Z-00000001.helio"
# What is drawn of a picture, as text.
DRAWN = """(name) => {
  const figure = document.querySelector(`figure[data-name="${name}"]`);
  if (!figure || !figure.picture.complete || !figure.picture.naturalWidth) return "";
  const canvas = document.createElement("canvas");
  canvas.width = figure.picture.naturalWidth;
  canvas.height = figure.picture.naturalHeight;
  canvas.getContext("2d").drawImage(figure.picture, 0, 0);
  return canvas.toDataURL();
}"""


@pytest.fixture(scope="module")
def data(encoder: Encoder, paint: Callable[[int, int], npt.NDArray[np.uint8]]) -> bytes:
    return Encoder(encoder.codec, layered=True, base=True).encode(paint(97, 61), Rate(quality=90))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def tabs(browser: Any) -> Iterator[Any]:
    """Tabs of one person: they share cookies and connections."""
    context = browser.new_context()
    yield context
    context.close()


def eventually(tab: Any, expression: str, argument: Any = None, *, seconds: float = 30) -> Any:
    """Wait until an expression in a tab holds and return it; Playwright's own way is forbidden by the policy."""
    for _ in range(int(20 * seconds)):
        if found := tab.evaluate(expression, argument):
            return found
        tab.wait_for_timeout(50)
    raise AssertionError(f"waited in vain for {expression}: {tab.inner_text('body')}")


def opened(tabs: Any, address: str) -> Any:
    tab = tabs.new_page()
    tab.complaints = []
    tab.on("console", lambda message: tab.complaints.append(message.text))
    tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.goto(address)
    return tab


def says(text: str) -> str:
    return f"document.getElementById('connection').textContent.includes('{text}')"


def is_live(tab: Any) -> bool:
    return bool(eventually(tab, says("live")))


def test_an_open_page_and_a_new_one_show_the_same_after_a_restart(
    tabs: Any, tmp_path: Path, codec: Codec, arrive: Arrive, data: bytes
) -> None:
    ends = [at + length + 4 for at, length in container.open(data).segments if length]
    port = free_port()
    arrive(tmp_path, "cam", NAME, data, [(0, ends[0])])
    with serving(tmp_path, codec, port=port):
        tab = opened(tabs, f"http://127.0.0.1:{port}/")
        coarse = eventually(tab, DRAWN, NAME)
    eventually(tab, says("not connected"))
    arrive(tmp_path, "cam", NAME, data, [(ends[0], len(data))])
    with serving(tmp_path, codec, port=port):
        fresh = opened(tabs, f"http://127.0.0.1:{port}/")
        new = eventually(fresh, DRAWN, NAME)
        eventually(tab, f"document.querySelector('figure').dataset.held === '{len(data)}'")
        eventually(tab, "document.querySelector('img').complete")
        assert eventually(tab, DRAWN, NAME) == new != coarse


def test_a_page_comes_back_after_a_bad_gateway(
    tabs: Any, tmp_path: Path, codec: Codec, arrive: Arrive, data: bytes
) -> None:
    if not is_installed("nginx"):
        pytest.skip("no nginx here: apt-get install nginx-light")
    behind = free_port()
    with proxy("nginx", tmp_path / "proxy", behind) as port:
        with serving(tmp_path / "in", codec, port=behind):
            tab = opened(tabs, f"http://127.0.0.1:{port}/")
            assert is_live(tab)
        eventually(tab, says("not connected: the answer is 502"))
        arrive(tmp_path / "in", "cam", NAME, data, [(0, len(data))])
        with serving(tmp_path / "in", codec, port=behind):
            assert eventually(tab, DRAWN, NAME)
            assert is_live(tab)


def test_a_page_comes_back_when_its_token_is_right_again(tabs: Any, tmp_path: Path, codec: Codec) -> None:
    port = free_port()
    with serving(tmp_path, codec, "first", port=port):
        tab = opened(tabs, f"http://127.0.0.1:{port}/?token=first")
        assert is_live(tab)
        assert tab.url == f"http://127.0.0.1:{port}/"
    with serving(tmp_path, codec, "second", port=port):
        eventually(tab, says("not connected: a token is needed"))
        assert is_live(opened(tabs, f"http://127.0.0.1:{port}/?token=second"))
        assert is_live(tab)


def test_tokens_of_two_ports_are_beside_each_other(tabs: Any, tmp_path: Path, codec: Codec) -> None:
    with serving(tmp_path, codec, "one") as first, serving(tmp_path, codec, "two") as second:
        tab = opened(tabs, f"http://127.0.0.1:{first}/?token=one")
        assert is_live(tab)
        assert is_live(opened(tabs, f"http://127.0.0.1:{second}/?token=two"))
        assert is_live(opened(tabs, f"http://127.0.0.1:{first}/"))
        tab.reload()
        assert is_live(tab)


def test_every_tab_has_its_pictures(
    tabs: Any, tmp_path: Path, codec: Codec, arrive: Arrive, data: bytes
) -> None:
    arrive(tmp_path, "cam", NAME, data, [(0, len(data))])
    with serving(tmp_path, codec) as port:
        many = [opened(tabs, f"http://127.0.0.1:{port}/") for _ in range(9)]  # a browser has six connections
        assert all(eventually(tab, DRAWN, NAME) for tab in many)
        later = NAME.replace("00001", "00002")
        arrive(tmp_path, "cam", later, data, [(0, len(data))])
        assert all(eventually(tab, DRAWN, later) for tab in many)
        assert [tab.complaints for tab in many] == [[]] * 9


@pytest.mark.parametrize(
    ("name", "path", "shown"),
    [
        ("nginx", "/", "/"),
        ("nginx", "/cams/", "/cams/"),
        ("nginx", "/cams", "/cams/"),
        ("nginx", "/kept/", "/kept/"),  # the proxy leaves the path as it is
        ("nginx", "/doubled", "/doubled/"),  # /doubled/page.js becomes //page.js
        ("apache", "/cams/", "/cams/"),
        ("caddy", "/cams/", "/cams/"),
        ("caddy", "/bare", "/bare/"),
        ("haproxy", "/cams/", "/cams/"),
    ],
)
def test_a_page_lies_under_a_path(
    tabs: Any, tmp_path: Path, codec: Codec, arrive: Arrive, data: bytes, name: str, path: str, shown: str
) -> None:
    if not is_installed(name):
        pytest.skip(f"no {name} here")
    arrive(tmp_path / "in", "cam", NAME, data, [(0, len(data))])
    with serving(tmp_path / "in", codec, "s3cret") as behind, proxy(name, tmp_path / "p", behind) as port:
        root = f"http://127.0.0.1:{port}"
        tab = opened(tabs, f"{root}{shown}?token=s3cret")
        assert eventually(tab, DRAWN, NAME)
        assert tab.complaints == []
        tab.goto(root + path)
        assert eventually(tab, f"location.pathname === {shown!r}")
        assert eventually(tab, DRAWN, NAME)
        assert tab.url == root + shown
        links = tab.eval_on_selector_all("a", "all => all.map((one) => one.href)")
        stem = NAME.removesuffix(".helio")
        assert links == [f"{root}{shown}stream/cam/{NAME}", f"{root}{shown}picture/cam/{stem}.png"]
        assert tab.request.get(links[0]).body() == data


def test_a_picture_that_did_not_load_is_asked_for_again(
    tabs: Any, tmp_path: Path, codec: Codec, arrive: Arrive, data: bytes
) -> None:
    arrive(tmp_path, "cam", NAME, data, [(0, len(data))])
    with serving(tmp_path, codec) as port, ExitStack() as cut:
        tabs.route("**/view/**", lambda route: route.abort(), times=2)
        tab = opened(tabs, f"http://127.0.0.1:{port}/")
        cut.callback(tabs.unroute_all)
        assert eventually(tab, DRAWN, NAME)
        assert len(tab.complaints) == 2


def test_an_answer_that_never_comes_is_not_waited_for(tabs: Any, tmp_path: Path, codec: Codec) -> None:
    # As after a laptop slept: the connection is there, and nobody holds its other end.
    tabs.add_init_script(
        "const later = setTimeout; window.setTimeout = (act, after) => later(act, after / 10);"
    )
    with serving(tmp_path, codec) as port, ExitStack() as cut:
        tabs.route("**/news*", lambda route: None, times=1)
        cut.callback(tabs.unroute_all)
        tab = opened(tabs, f"http://127.0.0.1:{port}/")
        eventually(tab, says("not connected: no answer"))
        assert is_live(tab)


def test_nobody_asks_while_nobody_looks(
    tabs: Any, tmp_path: Path, codec: Codec, arrive: Arrive, data: bytes
) -> None:
    tabs.add_init_script(
        "let hidden = false; Object.defineProperty(document, 'hidden', { get: () => hidden });"
        "window.hide = (value) => { hidden = value; document.dispatchEvent(new Event('visibilitychange')); };"
    )
    with serving(tmp_path, codec) as port:
        tab = opened(tabs, f"http://127.0.0.1:{port}/")
        assert is_live(tab)
        asked: list[str] = []
        tab.evaluate("hide(true)")
        tab.wait_for_timeout(500)  # a question may be under way
        tab.on("request", lambda request: asked.append(request.url))
        arrive(tmp_path, "cam", NAME, data, [(0, len(data))])
        tab.wait_for_timeout(4000)
        assert asked == []
        tab.evaluate("hide(false)")
        assert eventually(tab, DRAWN, NAME)


def test_both_times_are_shown_and_the_latest_to_arrive_is_first(
    tabs: Any, tmp_path: Path, codec: Codec, arrive: Arrive, data: bytes
) -> None:
    names = [
        f"{time}.000000Z-00000001.helio" for time in ("20380101T000000", "20260101T120000", "19700101T000010")
    ]
    for name in [*names, "yard.helio"]:
        arrive(tmp_path, "cam", name, data, [(0, len(data))])
    with serving(tmp_path, codec) as port:
        tab = opened(tabs, f"http://127.0.0.1:{port}/")
        assert eventually(tab, DRAWN, names[0])
        assert all(eventually(tab, DRAWN, name) for name in names)
        shown = tab.eval_on_selector_all("figure", "all => all.map((one) => one.dataset.name)")
        assert shown == ["yard.helio", *reversed(names)]
        captions = tab.eval_on_selector_all("figure", "all => all.map((one) => one.text.textContent)")
        came = tab.evaluate(
            "(at) => new Date(at).getFullYear()", (tmp_path / "cam/yard.helio").stat().st_mtime * 1000
        )
        assert captions[0].startswith("came ")
        assert captions[1].startswith("taken 1/1/1970, ")
        assert captions[1].count(" by a clock that was not set, came ") == 1
        assert captions[2].startswith("taken 1/1/2026, ")
        assert "by a clock" not in captions[2]
        assert captions[3].startswith("taken ")
        assert " by a clock that is ahead, came " in captions[3]
        assert all(f"/{came}, " in caption.partition("came ")[2] for caption in captions)
        assert tab.inner_text(".health") == "receiving"


@pytest.mark.parametrize("width", [390, 320])
def test_it_fits_a_phone(
    browser: Any, tmp_path: Path, codec: Codec, arrive: Arrive, data: bytes, width: int
) -> None:
    device = "river-" + "W" * 26
    arrive(tmp_path, device, NAME, data, [(0, len(data))])
    arrive(tmp_path, device, "x" * 90 + ".helio", data, [(0, len(data) - 9)])
    (tmp_path / device / ("y" * 90 + ".helio")).write_bytes(b"no stream")
    context = browser.new_context(
        viewport={"width": width, "height": 844}, device_scale_factor=3, is_mobile=True
    )
    try:
        with serving(tmp_path, codec) as port:
            tab = opened(context, f"http://127.0.0.1:{port}/")
            assert eventually(tab, DRAWN, NAME)
            assert eventually(tab, "[...document.querySelectorAll('.error')].some((one) => one.textContent)")
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            assert tab.evaluate("window.innerWidth") == width
            edges = "all => all.map((one) => one.getBoundingClientRect().right)"
            assert max(tab.eval_on_selector_all("h1, h2, p, img, figcaption div, progress", edges)) <= width
    finally:
        context.close()
