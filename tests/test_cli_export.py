"""`heliograph export`: a bundle for each target, whole, and nothing where the codec does not fit."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.cli import main
from heliograph.codec.codec import ENCODER, MANIFEST, Codec, codec_id, sha256
from heliograph.export import cortexm, wheel
from heliograph.export.bundle import check_bundle
from heliograph.export.graph import read_graph
from heliograph.export.tools import find_tool


def export(codec: Path, target: str, out: Path, *more: str) -> int:
    return main(["export", "--codec", str(codec), "--target", target, "-o", str(out), *more])


def told(out: Path) -> dict[str, str]:
    check_bundle(out)
    return {
        f["what"]: f["basis"] for f in json.loads((out / MANIFEST).read_text(encoding="utf-8"))["figures"]
    }


@pytest.fixture(autouse=True)
def without_cross_tools(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Default tests are quick: emulation and cross-compilation are for the slow ones."""
    if "slow" not in request.keywords:
        monkeypatch.setattr(cortexm, "find_tool", lambda name: None)
        monkeypatch.setattr(wheel, "find_tool", lambda name: None)


def test_edgetpu_says_in_words_that_it_is_not_compiled(
    codec_folder: Path,
    tmp_path: Path,
    photo: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    out = tmp_path / "out"
    assert export(codec_folder, "edgetpu", out) == 0
    readme = (out / "README.md").read_text(encoding="utf-8")
    assert "**Not compiled.**" in readme
    assert "edgetpu_compiler -s -o . encoder.tflite" in readme
    count = len(read_graph(Codec(codec_folder).encoder).layers)
    assert f"{count} of {count}" in capsys.readouterr().out
    assert told(out)["compiled by edgetpu_compiler"] == "not measured"
    # The script in it encodes, here without the accelerator, what `heliograph encode` encodes.
    done = run(out / "encode_edgetpu.py", photo, tmp_path / "a.helio", "--quality", "30", "--cpu")
    assert done.returncode == 0, done.stderr
    encode = [
        "encode",
        str(photo),
        "-o",
        str(tmp_path / "b.helio"),
        "--quality",
        "30",
        "--codec",
        str(codec_folder),
    ]
    assert main(encode) == 0
    assert (tmp_path / "a.helio").read_bytes() == (tmp_path / "b.helio").read_bytes()
    done = run(out / "encode_edgetpu.py", photo, tmp_path / "c.helio")
    assert done.returncode == 2
    assert "encoder_edgetpu.tflite is missing" in done.stderr


def test_the_c_bundle_compiles_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["export", "--codec", "microcontroller", "--target", "c", "-o", str(out)]) == 0
    basis = told(out)
    assert basis["RAM in all, 640x480, bytes"] == basis["flash in all, bytes"] == "counted"
    assert basis["on an emulated Cortex-M"] == "not measured"
    readme = (out / "README.md").read_text(encoding="utf-8")
    assert "| 640x480 | 116911 | 121263 | 225635 |" in readme
    assert "| 640x480 made smaller by 2 | 129347 in all | +3400 |\n" in readme
    assert "| packets of 222 bytes | +1074 | +3900 |\n" in readme
    assert "121263" in capsys.readouterr().out
    if shutil.which("make") and shutil.which("cc"):
        done = subprocess.run(["make", "-C", str(out)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "warning" not in done.stderr
        assert (out / "heliograph").is_file()
    assert {"CMakeLists.txt", "library.json", "cortexm/main.c"} <= {
        path.relative_to(out).as_posix() for path in out.rglob("*")
    }


def run(script: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_ethosu_has_a_model_for_each_accelerator(codec_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert export(codec_folder, "ethosu", out) == 0
    models = sorted(path.name for path in out.glob("encoder_*.tflite"))
    assert models == [
        f"encoder_ethos-{n}.tflite" for n in ("u55-128", "u55-256", "u55-64", "u65-256", "u65-512")
    ]
    figures = told(out)
    assert figures["network on ethos-u55-128, ms per megapixel"] == "estimated"
    assert figures["entropy coding, instructions per pixel"] == "not measured"
    assert "| ethos-u55-128 | 100% |" in (out / "README.md").read_text(encoding="utf-8")


def test_tflm_is_all_in_c(codec_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert export(codec_folder, "tflm", out) == 0
    names = {path.name for path in out.iterdir()}
    assert names >= {
        "erasure.c",
        "erasure.h",
        "heliograph.c",
        "heliograph.h",
        "picture.c",
        "codec.c",
        "codec.h",
        "encoder_model.c",
        "main.c",
    }
    assert told(out)["arena, bytes"] == "measured"
    assert "AddConv2D" in capsys.readouterr().out


def test_cpu_carries_the_package(codec_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert export(codec_folder, "cpu", out) == 0
    assert (out / "install.sh").stat().st_mode & 0o111
    assert len(list(out.glob("heliograph-*.tar.gz"))) == 1
    assert not list(out.glob("*.whl"))
    assert "No wheel for 64-bit Arm" in (out / "README.md").read_text(encoding="utf-8")
    assert told(out)["in all on an Arm CPU, ms per megapixel"] == "not measured"


@pytest.mark.slow
def test_the_cpu_bundle_installs_and_encodes(codec_folder: Path, tmp_path: Path) -> None:
    """On this computer, from the source archive, into an environment of its own."""
    out = tmp_path / "out"
    assert export(codec_folder, "cpu", out) == 0
    done = subprocess.run(
        [str(out / "install.sh")],
        env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    assert (out / "sample.helio").is_file()
    assert "install: done" in done.stdout


@pytest.mark.slow
def test_the_wheel_for_aarch64_has_its_c_core(codec_folder: Path, tmp_path: Path) -> None:
    if find_tool(wheel.CROSS_COMPILER) is None:
        pytest.skip(f"{wheel.CROSS_COMPILER} missing: {wheel.INSTALL}")
    built = wheel.aarch64_wheel()  # which checks what is in it
    assert built is not None
    assert built[0].endswith("-cp310-abi3-linux_aarch64.whl")


@pytest.fixture
def bad_codec(codec_folder: Path, bad_models: Path, tmp_path: Path) -> Path:
    """A codec whose encoder has a DEPTH_TO_SPACE, with good hashes."""
    folder = shutil.copytree(codec_folder, tmp_path / "bad_codec")
    data = (bad_models / "shuffled.tflite").read_bytes()
    (folder / ENCODER).write_bytes(data)
    told = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    told["files"][ENCODER] = sha256(data)
    told["id"] = codec_id(data, (folder / "entropy.bin").read_bytes()).hex()
    (folder / MANIFEST).write_text(json.dumps(told), encoding="utf-8")
    return folder


@pytest.mark.parametrize(("target", "text"), [("edgetpu", "the Edge TPU"), ("ethosu", "the Ethos-U")])
def test_what_does_not_fit_is_refused_and_nothing_written(
    bad_codec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str, text: str
) -> None:
    assert export(bad_codec, target, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert f"heliograph: error: the encoder does not fit {text}:" in error
    assert "layer 1 DEPTH_TO_SPACE (encoder" in error
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_changed_codec_is_refused(
    codec_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (codec_copy / ENCODER).open("ab") as handle:
        handle.write(b"\0")
    assert export(codec_copy, "tflm", tmp_path / "out") == 2
    assert "was changed" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_refused_before_any_work(
    codec_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(codec_folder, "edgetpu", tmp_path) == 2
    assert "exists already; give another folder, or --force" in capsys.readouterr().err


def test_the_codec_is_still_the_codec(codec_folder: Path, tmp_path: Path) -> None:
    assert export(codec_folder, "edgetpu", tmp_path / "out") == 0
    assert Codec(tmp_path / "out/codec").id == Codec(codec_folder).id
