"""The page over real HTTP: what it tells, whom it lets in, and what it refuses."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")

from tests.server.served import ask, serving

from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.device.encoder import Encoder
from heliograph.server import connections, page

Arrive = Callable[..., Path]
NAME = "20260101T000001.000000Z-00000001"


@pytest.fixture(scope="module")
def data(encoder: Encoder, paint: Callable[[int, int], npt.NDArray[np.uint8]]) -> bytes:
    return Encoder(encoder.codec, layered=True, base=True).encode(paint(97, 61), Rate(quality=70))


@pytest.fixture
def port(tmp_path: Path, codec: Codec, arrive: Arrive, data: bytes) -> Iterator[int]:
    arrive(tmp_path, "cam", f"{NAME}.helio", data, [(0, len(data))])
    (tmp_path / "secret.helio").write_bytes(data)
    with serving(tmp_path, codec) as number:
        yield number


def events(port: int, enough: Callable[[list[tuple[str, Any]]], bool]) -> list[tuple[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/events")
    answer = connection.getresponse()
    assert answer.getheader("content-type", "").startswith("text/event-stream")
    assert answer.getheader("x-accel-buffering") == "no"
    assert answer.getheader("cache-control") == "no-store, no-transform"
    found: list[tuple[str, Any]] = []
    what = ""
    while not enough(found):
        line = answer.readline().decode().rstrip("\n")
        if line.startswith("event: "):
            what = line[7:]
        elif line.startswith("data: "):
            found.append((what, json.loads(line[6:])))
    connection.close()
    return found


def test_news_come_as_events(port: int, tmp_path: Path, arrive: Arrive, data: bytes) -> None:
    first = events(port, lambda found: any(what == "picture" and told["version"] for what, told in found))
    assert first[0] == ("start", {})
    assert {what for what, _ in first} >= {"start", "device", "picture"}
    later = f"{NAME[:-1]}2.helio"
    threading.Timer(0.3, arrive, (tmp_path, "cam2", later, data, [(0, len(data))])).start()
    second = events(port, lambda found: any(told.get("name") == later for _, told in found))
    assert second[-1][1]["device"] == "cam2"


def test_only_so_many_look_on_at_once(tmp_path: Path, codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "WATCHERS", 3)
    with serving(tmp_path, codec) as port, ExitStack() as stack:

        def look_on(count: int) -> list[int]:
            """Ask for events on as many connections before any answer is read; return the states."""
            asked = []
            for n in range(count):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                stack.callback(connection.close)
                connection.request("HEAD" if n % 2 else "GET", "/events")
                asked.append(connection)
            return sorted(connection.getresponse().status for connection in asked)

        assert look_on(12) == [200] * 3 + [503] * 9
        stack.close()  # and their places are free again
        deadline = time.monotonic() + 20
        while (again := look_on(3)) != [200] * 3 and time.monotonic() < deadline:
            stack.close()
            time.sleep(0.1)
        assert again == [200] * 3


def test_originals_and_pictures_can_be_downloaded(port: int, data: bytes) -> None:
    status, headers, body = ask(port, f"/stream/cam/{NAME}.helio")
    assert (status, body) == (200, data)
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"] == f'attachment; filename="cam-{NAME}.helio"'
    status, headers, body = ask(port, f"/picture/cam/{NAME}.png")
    assert (status, headers["content-type"], body[:8]) == (200, "image/png", b"\x89PNG\r\n\x1a\n")
    deadline = time.monotonic() + 10
    while ask(port, f"/view/cam/{NAME}.jpg")[0] == 404 and time.monotonic() < deadline:
        time.sleep(0.1)
    status, headers, body = ask(port, f"/view/cam/{NAME}.jpg")
    assert (status, headers["content-type"], body[:2]) == (200, "image/jpeg", b"\xff\xd8")


def test_every_answer_carries_the_policy(port: int) -> None:
    for path in ("/", "/page.js", "/page.css", "/none", f"/stream/cam/{NAME}.helio"):
        headers = ask(port, path)[1]
        assert headers["content-security-policy"].startswith(
            "default-src 'none'; img-src 'self'; script-src 'self'"
        )
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers or headers["server"] == "uvicorn"
    document = ask(port, "/")[2].decode()
    assert "<script src=" in document
    assert "onclick" not in document


@pytest.mark.parametrize(
    "path",
    [
        "/stream/../secret.helio",
        "/stream/%2e%2e/secret.helio",
        "/stream/cam/..%2f..%2fsecret.helio",
        "/stream/cam/%2e%2e%2fsecret.helio",
        "/stream/./secret.helio",
        "/picture/cam/none.png",
        "/view/cam/none.jpg",
        "/stream/cam/.received",
        "/stream/cam/%00.helio",
    ],
)
def test_no_path_leads_out_of_the_folder(port: int, path: str) -> None:
    status, _, body = ask(port, path)
    assert status == 404
    assert b"HLO" not in body


def test_only_this_machine_may_look_without_a_token(port: int) -> None:
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "localhost"):
        assert ask(port, "/", host=host)[0] == 200
    for host in (
        "attacker.example",
        f"attacker.example:{port}",
        "192.168.1.4",
        "localhost.attacker.example",
        "",
    ):
        status, _, body = ask(port, "/", host=host)
        assert status == 403
        assert b"start it with a token" in body
    assert ask(port, "/", "POST")[0] == 405


def test_a_token_is_asked_for(tmp_path: Path, codec: Codec) -> None:
    with serving(tmp_path, codec, token="s3cret") as port:
        for path in ("/", "/events", f"/stream/cam/{NAME}.helio", "/?token=wrong", "/page.js?token=s3cret"):
            assert ask(port, path)[0] == 401
        for headers in (
            {"authorization": "Bearer s3cre"},
            {"cookie": "heliograph_token=s"},
            {"cookie": "x;;="},
        ):
            assert ask(port, "/", **headers)[0] == 401
        status, headers, _ = ask(port, "/?token=s3cret", host="cameras.example")
        assert (status, headers["location"]) == (303, "./")
        digest = hashlib.sha256(b"s3cret").hexdigest()[:8]
        assert headers["set-cookie"] == f"heliograph_token_{digest}=s3cret; HttpOnly; SameSite=lax"
        cookie = headers["set-cookie"].partition(";")[0]
        assert ask(port, "/", cookie=cookie, host="cameras.example")[0] == 200
        assert ask(port, "/page.js", authorization="Bearer s3cret")[0] == 200


def test_connections_that_ask_nothing_keep_nobody_out(tmp_path: Path, codec: Codec) -> None:
    with serving(tmp_path, codec, token="s3cret") as port, ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 20)) for _ in range(300)]
        assert ask(port, "/", authorization="Bearer s3cret")[0] == 200
        assert ask(port, "/")[0] == 401
        # The oldest were ended, and a request in the youngest is answered as ever.
        assert silent[0].recv(1) == b""
        assert silent[300 - connections.IDLE_OF_ONE].recv(1) == b""  # by the two that asked
        silent[-1].sendall(b"GET / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer s3cret\r\n\r\n")
        assert silent[-1].recv(12) == b"HTTP/1.1 200"


def test_many_who_come_from_one_address_are_not_cut_off(tmp_path: Path, codec: Codec) -> None:
    # A proxy opens a connection for each request, and all of them are from its address.
    with serving(tmp_path, codec) as port, ExitStack() as stack:
        many = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 20)) for _ in range(60)]
        for one in many:
            one.sendall(b"GET /news HTTP/1.0\r\nhost: localhost\r\n\r\n")
        assert {one.recv(12) for one in many} == {b"HTTP/1.1 200"}


def test_a_request_that_never_becomes_whole_ends(
    tmp_path: Path, codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD", 0.5)
    with serving(tmp_path, codec) as port, ExitStack() as stack:
        looker = stack.enter_context(socket.create_connection(("127.0.0.1", port), 20))
        looker.sendall(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n")
        for begun in (b"", b"GET / HTTP/1.1\r\nhost: localhost\r\nx: "):
            for before in (b"", b"GET /page.js HTTP/1.1\r\nhost: localhost\r\n\r\n"):
                slow = stack.enter_context(socket.create_connection(("127.0.0.1", port), 20))
                slow.sendall(before + begun)
                read, deadline = b"", time.monotonic() + 20
                while (data := slow.recv(65536)) and time.monotonic() < deadline:
                    read += data
                assert not data  # the server ended it
                assert read.startswith(b"HTTP/1.1 200") == bool(before)
        news = b""
        while not news.endswith(b"data: {}\n\n\r\n"):
            news += looker.recv(1)
        looker.settimeout(0.3)
        with pytest.raises(TimeoutError):  # whoever was answered stays
            looker.recv(1)


def test_who_is_refused_is_let_go(tmp_path: Path, codec: Codec) -> None:
    with serving(tmp_path, codec, token="s3cret") as port:
        asked = socket.create_connection(("127.0.0.1", port), 20)
        with asked:
            asked.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" * 3)
            answer = b""
            while data := asked.recv(65536):
                answer += data
        assert answer.count(b"HTTP/1.1 401") == 1
        assert b"connection: close" in answer.lower()


@pytest.mark.parametrize(
    "foreign",
    [
        b"a/b=1",
        b'state={"tab": 1, "open": [2, 3]}',
        "name=J\u00fcrgen".encode(),
        b"\xff\xfe=\x80",
        b"flag",
        b"=",
        b'quoted="a;b',
        b"heliograph_token=of-another-day",
    ],
)
def test_cookies_of_other_programs_are_passed_over(tmp_path: Path, codec: Codec, foreign: bytes) -> None:
    with serving(tmp_path, codec, token="s3cret") as port:
        for cookie in (b"%b; heliograph_token=s3cret", b"heliograph_token=s3cret;%b"):
            assert ask(port, "/", cookie=cookie % foreign)[0] == 200
        assert ask(port, "/", authorization="Bearer s3cret", cookie=foreign)[0] == 200
        assert ask(port, "/?token=s3cret", cookie=foreign)[0] == 303
        assert ask(port, "/", cookie=foreign)[0] == 401


@pytest.mark.parametrize("token", ['a b;c=%d, "e"', "schl\u00fcssel", "\udcff\udc80"])
def test_a_token_may_be_any_text(tmp_path: Path, codec: Codec, token: str) -> None:
    data = token.encode("utf-8", "surrogateescape")  # as the environment and the command line have it
    with serving(tmp_path, codec, token=token) as port:
        status, headers, _ = ask(port, f"/?token={quote_from_bytes(data, safe='')}")
        assert status == 303
        assert ask(port, "/", cookie=headers["set-cookie"].partition(";")[0])[0] == 200
        assert ask(port, "/", authorization=b"Bearer " + data)[0] == 200
        assert ask(port, "/", authorization=b"Bearer " + data[:-1])[0] == 401


@pytest.mark.parametrize("host", ["[", "[::2", "a b", "\u00fc", ":"])
def test_a_host_that_is_none_is_no_error(tmp_path: Path, codec: Codec, host: str) -> None:
    with serving(tmp_path, codec, token="s3cret") as port:
        assert ask(port, "/", host=host.encode())[0] in (400, 401)  # the server itself refuses some
    with serving(tmp_path, codec) as port:
        assert ask(port, "/", host=host.encode())[0] in (400, 403)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/cams/", 200),
        ("/a/b/page.js", 200),
        ("//page.css", 200),
        ("/view/news", 200),  # a path that is called as one of ours
        (f"/stream/stream/cam/{NAME}.helio", 200),
        ("/cams", 404),
        ("/news/none", 404),
        ("/cams/stream/cam/none.helio", 404),
        ("/cams/stream/../secret.helio", 404),
    ],
)
def test_what_a_proxy_leaves_of_its_path_is_passed_over(port: int, path: str, status: int) -> None:
    assert ask(port, path)[0] == status


def test_only_a_script_that_is_the_pages_own_may_stand_in_it(port: int) -> None:
    _, headers, body = ask(port, "/")
    inline = body.split(b"<script>")[1].split(b"</script>")[0]
    digest = base64.b64encode(hashlib.sha256(inline).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in headers["content-security-policy"]
