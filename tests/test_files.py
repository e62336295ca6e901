"""Files appear whole or not at all, on a full disk too."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from heliograph.cli import main
from heliograph.device.spool import Spool
from heliograph.errors import LinkError, OutputError, SpoolError
from heliograph.files import make_folder, write_where_told, write_whole
from heliograph.link.transfer.store import Shelf
from heliograph.link.wire.keys import new_key_file

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def small_disk(mount_disk: Callable[[int], Path]) -> Path:
    """A file system of 64 KiB."""
    return mount_disk(64)


def test_a_file_is_written(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"content")
    assert (tmp_path / "a").read_bytes() == b"content"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("letter", ["a", "ä", "\U0001d11e"])
def test_a_name_may_be_as_long_as_the_disk_takes(tmp_path: Path, letter: str) -> None:
    size = len(letter.encode())
    write_whole(tmp_path / (letter * (255 // size)), b"content")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"content"]
    longer = letter * (255 // size + 1)
    said = rf"its name has {len(longer.encode())} bytes, expected at most 255; give a shorter one"
    with pytest.raises(OutputError, match=said):
        write_whole(tmp_path / longer, b"content")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_result_goes_behind_a_link_which_stays(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"old")
    for name in ("there", "not yet"):
        link = tmp_path / f"{name}.link"
        link.symlink_to(name)
        write_where_told(link, b"new")
        assert link.readlink() == Path(name)
        assert (tmp_path / name).read_bytes() == b"new"


def test_a_link_to_itself_is_no_place(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(OutputError, match="Too many levels of symbolic links"):
        write_where_told(loop, b"new")
    assert loop.is_symlink()


def test_a_result_goes_through_a_pipe_and_into_a_device(tmp_path: Path) -> None:
    pipe, device = tmp_path / "pipe", tmp_path / "device"
    os.mkfifo(pipe)
    data = bytes(range(256)) * 1024  # more than a pipe holds
    with subprocess.Popen(["sha256sum", pipe], stdout=subprocess.PIPE) as reader:
        write_where_told(pipe, data)
        assert reader.communicate()[0].split()[0].decode() == hashlib.sha256(data).hexdigest()
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    device.symlink_to("/dev/null")
    write_where_told(device, data)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["device", "pipe"]


def test_a_full_device_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write /dev/full .*No space left on device"):
        write_where_told(Path("/dev/full"), b"new")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_a_folder_that_may_be_written_and_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    system_open = os.open

    def refuse(path: Path, flags: int, *rest: int) -> int:  # root may list every folder
        if flags & os.O_DIRECTORY:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return system_open(path, flags, *rest)

    monkeypatch.setattr("os.open", refuse)
    monkeypatch.setattr("os.sync", lambda: flushed.append("all"))
    write_whole(tmp_path / "a", b"content")
    assert (tmp_path / "a").read_bytes() == b"content"
    assert flushed == ["all"]


def test_a_full_disk_leaves_the_old_file(small_disk: Path) -> None:
    path = small_disk / "picture.png"
    write_whole(path, b"old")
    with pytest.raises(
        OutputError, match=r"cannot write .*picture.png \(100000 bytes\): No space left on device"
    ):
        write_whole(path, bytes(100_000))
    assert path.read_bytes() == b"old"
    assert [p.name for p in small_disk.iterdir()] == ["picture.png"]


def test_a_full_disk_stops_the_command_with_nothing_left(
    small_disk: Path, photo: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (small_disk / "ballast").write_bytes(bytes(64 << 10))
    command = ["encode", str(photo), "-o", f"{small_disk}/", "--codec", str(codec_folder), "--quality", "100"]
    assert main(command) == 2
    assert "No space left on device; free some space or write elsewhere" in capsys.readouterr().err
    assert [p.name for p in small_disk.iterdir()] == ["ballast"]


def test_a_size_limit_counts_as_a_full_disk(run_python: Run, tmp_path: Path) -> None:
    program = """
import resource, signal, sys
from pathlib import Path
from heliograph.errors import OutputError
from heliograph.files import make_folder, write_whole
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_whole(Path(sys.argv[1]), bytes(100_000))
except OutputError as error:
    print(error)
"""
    done = run_python(program, tmp_path / "picture.png")
    assert "File too large" in done.stdout, done.stderr
    assert not list(tmp_path.iterdir())


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file or directory"):
        write_whole(tmp_path / "none" / "a", b"")


def test_a_new_folder_lasts_with_those_it_lies_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("heliograph.files.sync_folder", synced.append)
    for _ in range(2):
        make_folder(tmp_path / "a/b/c")
    assert (tmp_path / "a/b/c").is_dir()
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a/b"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_flush_a_folder_is_taken_as_it_is(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", refuse_folders(number))
    write_whole(tmp_path / "a", b"content")
    assert (tmp_path / "a").read_bytes() == b"content"


def test_a_disk_that_fails_to_keep_a_name_is_an_error_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, shelf = Spool(tmp_path / "spool"), Shelf(tmp_path, "cam")
    partial = shelf.open("a.helio", 3, hashlib.sha256(b"abc").digest())
    partial.write(0, b"abc")
    monkeypatch.setattr("os.fsync", refuse_folders(errno.EIO))
    with pytest.raises(OutputError, match=r"cannot write .*a \(7 bytes\): Input/output error"):
        write_whole(tmp_path / "a", b"content")
    with pytest.raises(SpoolError, match=r"cannot write the spool .*: Input/output error; check the disk"):
        spool.add(b"a")
    with pytest.raises(OutputError, match=r"cannot keep .*a.helio.partial: Input/output error"):
        partial.sync()
    with pytest.raises(LinkError, match=r"cannot write key file .*: Input/output error"):
        new_key_file(tmp_path / "key")


def refuse_folders(number: int) -> Callable[[int], None]:
    """Return an fsync that gives an error for folders."""
    sync = os.fsync

    def refuse(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    return refuse
