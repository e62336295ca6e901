"""Packets as files, for scripts around modems: one a file, named by device, picture and place."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from heliograph.files import read_regular, write_where_told
from heliograph.packets.collector import Arrived, Collector
from heliograph.packets.packet import MOST_BYTES

SUFFIX = ".packet"
NUMBERS = ".next-picture"  # the device's file of picture numbers in a folder that packets are written to


def stem(device: int, picture: int) -> str:
    """Return how files of a picture begin."""
    return f"{device:05d}-{picture:09d}"


def write_packets(folder: Path, device: int, picture: int, packets: Iterable[bytes]) -> None:
    """Write a picture's packets into a folder, a file each; OutputError if that cannot be done."""
    for number, packet in enumerate(packets):
        write_where_told(folder / f"{stem(device, picture)}-{number:05d}{SUFFIX}", packet)


def find_packets(path: Path) -> Iterator[Path]:
    """Yield the packet files that a path is, or that are below it, by name; links are not followed."""
    if path.is_dir():
        for folder, folders, files in os.walk(path):
            folders.sort()
            yield from (Path(folder, name) for name in sorted(files) if name.endswith(SUFFIX))
    elif path.name.endswith(SUFFIX):
        yield path


def collect(files: Iterable[Path], key: bytes | None = None) -> tuple[list[Arrived], int]:
    """Return the best stream of each picture that packets are of, and how many files were refused."""
    collector, unread = Collector(key), 0
    whole: list[Arrived] = []
    for file in files:
        try:
            collector.take(read_regular(file, MOST_BYTES))
        except OSError:
            unread += 1
        for name in collector.better():
            if (arrived := collector.best(name)) is not None and arrived.is_whole:
                whole.append(arrived)
                collector.finish(name)  # so that any number of pictures fits the memory
    rest = [arrived for name in collector.names() if (arrived := collector.best(name)) is not None]
    found = sorted((*whole, *rest), key=lambda arrived: (arrived.device, arrived.picture))
    return found, unread + collector.refused
