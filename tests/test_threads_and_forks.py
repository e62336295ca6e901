"""One encoder or decoder in several threads gives what it gives in one, and a forked child works, whatever was open."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from heliograph import forks
from heliograph.cli import main
from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.server.preview import PreviewDecoder

Paint = Callable[[int, int], npt.NDArray[np.uint8]]
Run = Callable[..., subprocess.CompletedProcess[str]]

# What each program has: a picture, its codec, and a child that must end within ten seconds.
START = """
import os, sys, threading, time
import numpy as np
import heliograph

codec = sys.argv[1]
picture = np.random.default_rng(3).integers(256, size=(150, 210, 3), dtype=np.uint8)
rate = heliograph.Rate(quality=40)

def in_child(work):
    child = os.fork()
    if not child:
        try:
            os._exit(0 if work() else 3)
        finally:
            os._exit(4)
    for _ in range(100):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            print(os.waitstatus_to_exitcode(status))
            return
        time.sleep(0.1)
    os.kill(child, 9)
    os.waitpid(child, 0)
    print("hangs")
"""

WITH_THREADS_OF_ITS_OWN = """
encoder = heliograph.Encoder(codec, threads=2)
expected = encoder.encode(picture, rate)
in_child(lambda: encoder.encode(picture, rate) == expected)
print(encoder.encode(picture, rate) == expected)
"""

WHILE_A_THREAD_SAVES = """
import io
import heliograph.pillow
from PIL import Image

def save():
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "HELIO", quality=40, codec=codec)
    return file.getvalue()

expected = save()
ended = threading.Event()
def on_and_on():
    while not ended.is_set():
        save()
thread = threading.Thread(target=on_and_on)
thread.start()
for _ in range(5):
    in_child(lambda: save() == expected)
ended.set()
thread.join()
"""

A_DECODER = """
data = heliograph.encode(picture, quality=40, codec=codec)
decoder = heliograph.Decoder(codec, sys.argv[2])
expected = decoder.decode(data)
def decodes():
    try:
        found = decoder.decode(data)  # with "auto" the parent has the large network, and the child the small one
        return np.array_equal(found, expected) if sys.argv[2] == "preview" else found.shape == expected.shape
    except heliograph.RuntimeUnavailableError as error:
        os.write(1, f"{error}\\n".encode())
        return True
in_child(decodes)
"""

WHILE_A_THREAD_STARTS_A_RUNTIME = """
from heliograph import chatter
chatter.silence()
holds, ended = threading.Event(), threading.Event()
def hold():
    with chatter.held():
        holds.set()
        time.sleep(0.5)
thread = threading.Thread(target=hold)
thread.start()
holds.wait()
in_child(lambda: os.write(2, b"the child's words") and heliograph.Encoder(codec).encode(picture, rate))
thread.join()
"""


def test_one_encoder_in_threads(codec: Codec, paint: Paint) -> None:
    encoder, rate = Encoder(codec, slice_tiles=1), Rate(quality=60)
    pictures = [paint(200 + 10 * n, 150)[:, ::-1] // (1 + n % 3) for n in range(8)]
    expected = [encoder.encode(picture, rate) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: encoder.encode(pictures[n % 8], rate), range(48)))
    assert found == expected * 6


def test_one_encoder_with_a_memory_in_threads(codec: Codec, paint: Paint, tmp_path: Path) -> None:
    encoder, rate = Encoder(codec, memory=tmp_path / "memory"), Rate(quality=60)
    with ThreadPoolExecutor(4) as pool:
        streams = list(pool.map(lambda n: encoder.encode(paint(160, 120) // (1 + n % 2), rate), range(12)))
    folder = tmp_path / "streams"
    folder.mkdir()
    for n, data in enumerate(streams):
        (folder / f"{n}.helio").write_bytes(data)
    options = ["--decoder", "preview", "--codec", str(codec.folder)]
    assert main(["decode", str(folder), "-o", str(tmp_path / "out"), *options]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 12


def test_one_preview_decoder_in_threads(codec: Codec, encoder: Encoder, paint: Paint) -> None:
    decoder = PreviewDecoder(codec)
    streams = [decode_stream(encoder.encode(paint(300 + n, 200), Rate(quality=60)), codec) for n in range(6)]
    expected = [decoder.decode(stream) for stream in streams]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: decoder.decode(streams[n % 6]), range(24)))
    for n, picture in enumerate(found):
        assert np.array_equal(picture, expected[n % 6])


@pytest.mark.parametrize(
    ("program", "printed"),
    [
        (WITH_THREADS_OF_ITS_OWN, ["0", "True"]),
        (WHILE_A_THREAD_SAVES, ["0"] * 5),
        (WHILE_A_THREAD_STARTS_A_RUNTIME, ["0"]),
    ],
    ids=["threads=2", "saves", "starts"],
)
def test_a_forked_child_encodes(
    program: str, printed: list[str], run_python: Run, codec_folder: Path
) -> None:
    done = run_python(START + program, codec_folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == printed
    assert ("the child's words" in done.stderr) == (program is WHILE_A_THREAD_STARTS_A_RUNTIME)


@pytest.mark.parametrize("kind", ["preview", "server", "auto"])
def test_a_forked_child_decodes_or_says_that_it_cannot(
    kind: str, run_python: Run, codec_folder: Path
) -> None:
    done = run_python(START + A_DECODER, codec_folder, kind)
    assert done.returncode == 0, done.stderr
    *said, last = done.stdout.splitlines()
    assert last == "0"
    assert bool(said) == (kind == "server")
    if said:
        assert 'start children with multiprocessing.get_context("spawn"), or use --decoder preview' in said[0]


def test_a_lock_keeps_others_out_until_it_is_renewed() -> None:
    lock, entered = forks.Lock(), threading.Event()

    def enter() -> None:
        with lock:
            entered.set()

    thread = threading.Thread(target=enter)
    with lock, lock:  # the same thread, twice
        thread.start()
        assert not entered.wait(0.1)
    thread.join()
    assert entered.is_set()
    lock.__enter__()
    lock.renew()
    entered.clear()
    threading.Thread(target=enter).start()
    assert entered.wait(5)
