"""Site memory on the command line: encode, decode, standalone, info, inspect; what is missing or wrong in each."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import heliograph
from heliograph.cli import main
from heliograph.codec import container
from heliograph.codec.memory import Memory
from heliograph.codec.registry import open_codec
from heliograph.link.transfer.store import Store

COUNT = 6


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, paint: Callable[..., npt.NDArray[np.uint8]]) -> Path:
    """A folder of pictures of one place, in the order of their names; something moves through them."""
    folder = tmp_path_factory.mktemp("site")
    for number in range(COUNT):
        noise = np.random.default_rng(number).normal(0, 2, (61, 97, 3))
        picture = np.clip(paint(97, 61) + noise, 0, 255).astype(np.uint8)
        picture[10:20, 5 * number : 5 * number + 12] = (20, 200, 90)
        Image.fromarray(picture).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def encoded(site: Path, codec_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `streams` of these pictures, and the `memory` that was used."""
    out = tmp_path_factory.mktemp("encoded")
    command = ["encode", str(site), "-o", str(out / "streams"), "--memory", str(out / "memory")]
    assert main([*command, "--codec", str(codec_folder)]) == 0
    return out


@pytest.fixture(scope="module")
def decoded(encoded: Path, codec_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The pictures of these streams by stem."""
    out = tmp_path_factory.mktemp("decoded")
    assert decode(codec_folder, encoded / "streams", "-o", out) == 0
    return {path.stem: path.read_bytes() for path in out.iterdir()}


def decode(codec_folder: Path, *arguments: object) -> int:
    return main(["decode", *map(str, arguments), "--codec", str(codec_folder), "--decoder", "preview"])


def depths(folder: Path) -> list[int]:
    return [container.open(path.read_bytes()).header.depth for path in sorted(folder.glob("*.helio"))]


def reference(path: Path) -> str:
    referred = container.open(path.read_bytes()).header.reference
    assert referred is not None
    return referred.picture_id.hex()


def test_pictures_of_one_place_refer_to_each_other_and_take_fewer_bytes(
    site: Path, encoded: Path, codec_folder: Path, tmp_path: Path
) -> None:
    assert main(["encode", str(site), "-o", str(tmp_path), "--codec", str(codec_folder)]) == 0
    alone = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert sum(path.stat().st_size for path in (encoded / "streams").iterdir()) < 0.9 * alone
    assert depths(tmp_path) == [0] * COUNT
    assert depths(encoded / "streams")[0] == 0
    assert min(depths(encoded / "streams")[1:]) >= 1


def test_what_has_joined_the_memory_is_what_was_written(encoded: Path) -> None:
    streams = {path.read_bytes() for path in (encoded / "streams").iterdir()}
    kept = [path.read_bytes() for path in sorted((encoded / "memory").iterdir())]
    assert set(kept) <= streams
    assert kept[-1] == (encoded / "streams" / f"{COUNT - 1}.helio").read_bytes()


def test_chains_end_at_the_depth_that_was_asked_for(site: Path, codec_folder: Path, tmp_path: Path) -> None:
    command = ["encode", str(site), "-o", str(tmp_path / "out"), "--codec", str(codec_folder)]
    assert main([*command, "--memory", str(tmp_path / "memory"), "--max-depth", "2", "--keep", "1"]) == 0
    assert depths(tmp_path / "out") == [0, 1, 2, 0, 1, 2]
    with pytest.raises(SystemExit):
        main([*command, "--memory", str(tmp_path / "memory"), "--max-depth", "64"])


def test_another_run_goes_on_with_the_memory(site: Path, codec_folder: Path, tmp_path: Path) -> None:
    for number in range(2):
        command = ["encode", str(site / f"{number}.png"), "-o", str(tmp_path / f"{number}.helio")]
        assert main([*command, "--memory", str(tmp_path / "memory"), "--codec", str(codec_folder)]) == 0
    assert depths(tmp_path) == [0, 1]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("threads", [1, 4])
def test_streams_decode_in_any_order(
    seed: int, threads: int, encoded: Path, decoded: dict[str, bytes], codec_folder: Path, tmp_path: Path
) -> None:
    streams = sorted((encoded / "streams").iterdir(), reverse=not seed)
    random.Random(seed).shuffle(streams) if seed else None
    assert decode(codec_folder, *streams, "-o", tmp_path, "--threads", threads) == 0
    assert {path.stem: path.read_bytes() for path in tmp_path.iterdir()} == decoded


@pytest.mark.parametrize("place", ["memory", "streams"])
def test_a_stream_alone_decodes_with_the_folder_that_has_its_references(
    place: str, encoded: Path, decoded: dict[str, bytes], codec_folder: Path, tmp_path: Path
) -> None:
    stream = encoded / "streams" / f"{COUNT - 1}.helio"
    assert decode(codec_folder, stream, "-o", tmp_path / "a.png", "--memory", encoded / place) == 0
    assert (tmp_path / "a.png").read_bytes() == decoded[f"{COUNT - 1}"]


def receive(inbox: Path, path: Path) -> None:
    """Keep a stream as a receiver does."""
    data, store = path.read_bytes(), Store(inbox)
    partial = store.open("cam", path.name, len(data), hashlib.sha256(data).digest())
    partial.write(0, data)
    store.sync("cam", partial)
    assert store.finish("cam", partial) is not None
    store.close()


def test_a_receiver_s_folder_is_decoded_again_and_again_as_streams_come(
    encoded: Path,
    decoded: dict[str, bytes],
    codec_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    streams, inbox, out = sorted((encoded / "streams").iterdir()), tmp_path / "in", tmp_path / "out"
    for number in (1, 0, 2):
        receive(inbox, streams[number])
    assert decode(codec_folder, inbox, "-o", out) == 0
    for number in (5, 4, 3):
        receive(inbox, streams[number])
    assert decode(codec_folder, inbox, "-o", out) == 0  # what these refer to is not decoded again
    assert {path.stem: path.read_bytes() for path in (out / "cam").iterdir()} == decoded
    monkeypatch.chdir(inbox / "cam")
    assert decode(codec_folder, "5.helio", "-o", tmp_path / "one.png") == 0
    assert (tmp_path / "one.png").read_bytes() == decoded["5"]
    assert sorted(path.name for path in inbox.iterdir()) == [".catalogue", "cam"]
    assert not (encoded / ".catalogue").exists()


def test_a_missing_reference_is_a_line_and_stops_no_other(
    encoded: Path,
    decoded: dict[str, bytes],
    codec_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    streams = [path for path in sorted((encoded / "streams").iterdir()) if path.stem != "1"]
    assert decode(codec_folder, *streams, "-o", tmp_path) == 2
    errors = capsys.readouterr().err.splitlines()
    made = {path.stem: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {stem: decoded[stem] for stem in made}
    assert "0" in made
    assert len(made) < COUNT - 1
    told = [line for line in errors if "refers to picture" in line]
    assert len(told) == COUNT - 1 - len(made)
    for line in told:
        assert "which is not here; give that picture's stream too, or with --memory the folder" in line
    assert f"{len(made)} decoded; {len(told)} failed: " in errors[-1]


def test_a_wrong_reference_is_a_missing_one(
    encoded: Path, codec_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream, wrong = encoded / "streams" / "1.helio", tmp_path / "wrong"
    wrong.mkdir()
    other = (encoded / "streams" / "2.helio").read_bytes()
    (wrong / f"00000001-{reference(stream)}.helio").write_bytes(other)
    assert decode(codec_folder, stream, "-o", tmp_path / "a.png", "--memory", wrong) == 2
    assert f"refers to picture {reference(stream)}, which is not here" in capsys.readouterr().err
    command = [str(stream), "--codec", str(codec_folder), "--memory", str(wrong)]
    alone = tmp_path / "1.helio"
    alone.write_bytes(stream.read_bytes())
    for verb in ("standalone", "inspect"):
        out = ["-o", str(tmp_path / "out")] if verb == "standalone" else []
        assert main([verb, str(alone), *command[1:], *out]) == 2
        assert f"refers to picture {reference(stream)}, which is not here" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_memory_with_damaged_files_makes_streams_that_need_them_not(
    site: Path, codec_folder: Path, tmp_path: Path
) -> None:
    command = ["encode", "--memory", str(tmp_path / "memory"), "--codec", str(codec_folder)]
    assert main([*command, str(site / "0.png"), "-o", str(tmp_path / "0.helio")]) == 0
    (kept,) = (tmp_path / "memory").iterdir()
    kept.write_bytes(kept.read_bytes()[:-4])
    assert main([*command, str(site / "1.png"), "-o", str(tmp_path / "1.helio")]) == 0
    assert depths(tmp_path) == [0, 0]
    assert decode(codec_folder, tmp_path / "1.helio") == 0


def test_a_memory_that_is_no_folder_is_an_error(
    site: Path, codec_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    command = ["encode", str(site / "0.png"), "-o", str(tmp_path / "0.helio"), "--codec", str(codec_folder)]
    assert main([*command, "--memory", str(tmp_path / "file")]) == 2
    assert "cannot use the memory" in capsys.readouterr().err
    assert not (tmp_path / "0.helio").exists()


@pytest.mark.parametrize("place", [None, "memory"])
def test_standalone_writes_a_file_that_decodes_anywhere(
    place: str | None,
    encoded: Path,
    decoded: dict[str, bytes],
    codec_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream, out = encoded / "streams" / f"{COUNT - 1}.helio", tmp_path / "alone.helio"
    if place:
        (tmp_path / "elsewhere").mkdir()
        source = tmp_path / "elsewhere" / "x.helio"
        source.write_bytes(stream.read_bytes())
    memory = ["--memory", str(encoded / place)] if place else []
    source = source if place else stream
    command = ["standalone", str(source), "-o", str(out), "--codec", str(codec_folder), *memory]
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    depth = depths(encoded / "streams")[-1]
    assert told["streams"] == depth + 1
    assert told["bytes"] == out.stat().st_size > told["stream_bytes"] == stream.stat().st_size
    assert main(command) == 2  # it is there
    assert "exists already; use --force" in capsys.readouterr().err

    assert decode(codec_folder, out, "-o", tmp_path / "a.png") == 0
    assert (tmp_path / "a.png").read_bytes() == decoded[f"{COUNT - 1}"]
    told_of = heliograph.info(out)
    assert (told_of.chain, told_of.depth, told_of.reference) == (depth + 1, depth, reference(stream))
    shown = heliograph.decode(out, decoder="preview", codec=codec_folder)
    assert np.array_equal(shown, np.asarray(Image.open(tmp_path / "a.png")))


def test_standalone_of_a_stream_that_refers_to_none_is_that_stream(
    encoded: Path, codec_folder: Path, tmp_path: Path
) -> None:
    stream = encoded / "streams" / "0.helio"
    command = ["standalone", str(stream), "-o", str(tmp_path / "0.helio"), "--codec", str(codec_folder)]
    assert main(command) == 0
    assert (tmp_path / "0.helio").read_bytes() == stream.read_bytes()


def test_standalone_names_what_is_missing_and_writes_nothing(
    encoded: Path, codec_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "1.helio"
    alone.write_bytes((encoded / "streams" / "1.helio").read_bytes())
    command = ["standalone", str(alone), "-o", str(tmp_path / "out.helio"), "--codec", str(codec_folder)]
    assert main(command) == 2
    assert f"refers to picture {reference(alone)}, which is not here" in capsys.readouterr().err
    assert main([*command, "--memory", str(tmp_path / "none")]) == 2
    assert "none: No such file or directory; check the path" in capsys.readouterr().err
    assert not (tmp_path / "out.helio").exists()


def test_a_chain_file_is_an_image_of_pillows(
    encoded: Path,
    decoded: dict[str, bytes],
    codec_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import heliograph.pillow as helio
    from heliograph import opened

    out = tmp_path / "alone.helio"
    stream = encoded / "streams" / f"{COUNT - 1}.helio"
    assert main(["standalone", str(stream), "-o", str(out), "--codec", str(codec_folder)]) == 0
    monkeypatch.setattr(helio, "_decoder", opened.decoder("preview", codec_folder))
    with Image.open(out) as image:
        assert (image.format, image.size) == ("HELIO", (97, 61))
        image.load()
        image.save(tmp_path / "a.png")
    assert np.array_equal(
        np.asarray(Image.open(tmp_path / "a.png")),
        heliograph.decode(out, decoder="preview", codec=codec_folder),
    )
    with Image.open(stream) as image, pytest.raises(OSError, match="which is not here"):
        image.load()


def test_info_and_inspect_show_the_reference(
    encoded: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("heliograph.validate.maps")
    stream = encoded / "streams" / "1.helio"
    assert main(["info", str(stream)]) == 0
    assert f"reference:       picture {reference(stream)} of quality 50, depth 1" in capsys.readouterr().out
    assert main(["inspect", str(stream), "--codec", str(codec_folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["reference"], told["reference_quality"], told["depth"]) == (reference(stream), 50, 1)
    assert 0.2 < told["stream_bytes"] / told["alone_bytes"] < 1
    # Bits of symbols and the rest are the stream's, found with the reference at hand.
    assert sum(told["layer_bytes"]) + told["overhead_bytes"] == pytest.approx(told["stream_bytes"])
    assert 0 < told["overhead_bytes"] < 80


def test_the_front_door_has_both_ends(site: Path, codec_folder: Path, tmp_path: Path) -> None:
    rate = heliograph.Rate(quality=40)
    encoder = heliograph.Encoder(codec_folder, memory=tmp_path / "memory")
    decoder = heliograph.Decoder(codec_folder, "preview", memory=tmp_path / "memory")
    pictures = [np.asarray(Image.open(site / f"{number}.png")) for number in range(3)]
    streams = [encoder.encode(picture, rate) for picture in pictures]
    assert [container.open(data).header.depth for data in streams] == [0, 1, 2]
    for picture, data in zip(pictures[::-1], streams[::-1], strict=True):
        assert decoder.decode(data).shape == picture.shape
    with pytest.raises(heliograph.ReferenceMissing):
        heliograph.Decoder(codec_folder, "preview").decode(streams[2])
    empty = tmp_path / "empty"
    empty.mkdir()
    later = heliograph.Decoder(codec_folder, "preview", memory=empty)
    for data in streams:  # in their order what was decoded before is enough
        later.decode(data)


@pytest.mark.parametrize("moment", [1, 2, 3, 5])
def test_killed_while_it_writes_it_goes_on_and_all_decodes(
    moment: int, site: Path, codec_folder: Path, tmp_path: Path
) -> None:
    """The process dies at the n-th renaming, then the same command runs again."""
    program = """
import os, sys
from pathlib import Path
from heliograph.cli import main
left, replace = int(sys.argv[1]), Path.replace
def dying(*arguments):
    global left
    left -= 1
    if left == 0:
        os._exit(9)
    return replace(*arguments)
Path.replace = dying
sys.exit(main(sys.argv[2:]))
"""
    out, memory = tmp_path / "out", tmp_path / "memory"
    command = ["encode", str(site), "-o", str(out), "--memory", str(memory), "--codec", str(codec_folder)]
    done = subprocess.run(
        [sys.executable, "-c", program, str(moment), *command], capture_output=True, timeout=300
    )
    assert done.returncode == 9, done.stderr
    assert main(command) == 0
    assert len(depths(out)) == COUNT
    assert decode(codec_folder, out, "-o", tmp_path / "pictures") == 0
    assert len(list((tmp_path / "pictures").iterdir())) == COUNT
    kept = Memory(memory, open_codec(codec_folder))
    assert all(kept.find(bytes.fromhex(path.name[9:25])) for path in memory.iterdir())
