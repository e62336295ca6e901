"""Decoding under Ray: places of fsspec, going on, and an actor that is killed on the way."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

pytest.importorskip("fsspec")

import fsspec

from heliograph.cli import main
from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.errors import OutputError, StreamError
from heliograph.server.cluster import Actor, Settings, find_tasks, read_place, run, write_place
from heliograph.server.preview import PreviewDecoder

Paint = Callable[[int, int], npt.NDArray[np.uint8]]


@pytest.fixture
def store() -> Iterator[str]:
    """A folder in memory, as an object store is one."""
    yield "memory://fleet"
    fsspec.filesystem("memory").store.clear()


def test_places_are_read_and_written_whole(store: str, tmp_path: Path) -> None:
    picture = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    for place in (f"{store}/a/b.png", str(tmp_path / "a/b.png"), (tmp_path / "c.png").as_uri()):
        write_place(place, picture)
        assert read_place(place)[:4] == b"\x89PNG"
    assert sorted(p.name for p in tmp_path.rglob("*.png")) == ["b.png", "c.png"]
    with pytest.raises(StreamError, match="cannot read memory://fleet/none: FileNotFoundError"):
        read_place(f"{store}/none")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot write"):
        write_place(str(tmp_path / "file/x.png"), picture)


def test_an_actor_takes_no_more_cores_than_its_share(
    codec_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "")
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS")
    Actor(Settings("preview", str(codec_folder)))
    assert "TF_NUM_INTRAOP_THREADS" not in os.environ
    Actor(Settings("preview", str(codec_folder), cores=3))
    assert os.environ["TF_NUM_INTRAOP_THREADS"] == "3"


def test_what_is_done_is_left_out(store: str) -> None:
    system = fsspec.filesystem("memory")
    for name in ("in/a.helio", "in/cam/b.helio", "in/notes.txt", "other/a.helio"):
        system.pipe_file(f"/fleet/{name}", b"x")
    todo, done = find_tasks([f"{store}/in"], f"{store}/out")
    assert [(t["source"], t["target"]) for t in todo] == [
        ("memory:///fleet/in/a.helio", "memory:///fleet/out/a.png"),
        ("memory:///fleet/in/cam/b.helio", "memory:///fleet/out/cam/b.png"),
    ]
    assert done == 0
    system.pipe_file("/fleet/out/a.png", b"y")
    todo, done = find_tasks([f"{store}/in"], f"{store}/out")
    assert ([t["source"] for t in todo], done) == (["memory:///fleet/in/cam/b.helio"], 1)
    assert len(find_tasks([f"{store}/in"], f"{store}/out", force=True)[0]) == 2
    with pytest.raises(OutputError, match=r"would both become /fleet/out/a\.png; rename one"):
        find_tasks([f"{store}/in/a.helio", f"{store}/other/a.helio"], f"{store}/out")
    with pytest.raises(StreamError, match="no streams in memory://fleet/none"):
        find_tasks([f"{store}/none"], f"{store}/out")


def worker_pids() -> list[int]:
    """Return the processes that hold a decoder, by the name Ray gives them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if command.startswith(b"ray::") and b"MapWorker" in command:
            found.append(int(path.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_killed_actor_costs_no_picture(
    tmp_path: Path, codec: Codec, encoder: Encoder, paint: Paint, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    streams, out = tmp_path / "streams", tmp_path / "out"
    streams.mkdir()
    data = [encoder.encode(paint(200 + n, 150), Rate(quality=30 + n)) for n in range(8)]
    for n in range(240):
        (streams / f"{n:03}.helio").write_bytes(data[n % len(data)])
    (streams / "bad.helio").write_bytes(data[0][:-9])
    ray.init(num_cpus=2, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    try:
        tasks, _ = find_tasks([str(streams)], str(out))
        outcomes, killed = [], 0
        for outcome in run(tasks, Settings("preview", str(codec.folder)), actors=2, batch=8):
            outcomes.append(outcome)
            if len(outcomes) == 20:
                workers = worker_pids()
                assert len(workers) == 2
                killed = workers[0]
                os.kill(killed, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while Path(f"/proc/{killed}").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not Path(f"/proc/{killed}").exists()
        assert len(outcomes) == len({o.task.source for o in outcomes}) == 241
        assert [str(o.task.source)[-9:] for o in outcomes if o.error] == ["bad.helio"]
        decoder = PreviewDecoder(codec)
        expected = [decoder.decode(decode_stream(one, codec)) for one in data]
        for n in range(240):
            with Image.open(out / f"{n:03}.png") as picture:
                assert np.array_equal(np.asarray(picture), expected[n % len(data)])
        # The command goes on with what is not there yet.
        (out / "007.png").unlink()
        (streams / "bad.helio").unlink()
        shutil.copy(streams / "000.helio", streams / "new.helio")
        command = ["decode", str(streams), "-o", str(out), "--engine", "ray", "--decoder", "preview"]
        assert main([*command, "--codec", str(codec.folder), "--actors", "1"]) == 0
        assert (out / "007.png").is_file()
        assert (out / "new.png").is_file()
    finally:
        ray.shutdown()


def test_the_cluster_needs_a_place_for_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "x.helio", "--engine", "ray"]) == 2
    assert "--engine ray needs a folder or URL for the pictures: -o OUT" in capsys.readouterr().err
