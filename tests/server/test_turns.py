"""Turns: nobody keeps others waiting, whatever they call themselves and whatever they send."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from heliograph.server.inbox import Entry
from heliograph.server.turns import Turns

MEGAPIXEL = 1_000_000  # a second, as expected


@dataclass(frozen=True)
class Claiming(Entry):
    """A stream that claims some pixels, without a file."""

    claimed: int = 0

    def pixels(self) -> int:
        return self.claimed


def stream(device: str, name: str, megapixels: float) -> Claiming:
    claimed = round(megapixels * MEGAPIXEL)
    return Claiming(device, name, Path(), True, 1, 1, 0.0, (0, 0, True), claimed)


def names(turns: Turns, streams: list[Claiming]) -> list[str]:
    return [entry.name for entry, _ in turns.order(streams)]


def test_devices_take_turns_and_each_gives_its_latest_first() -> None:
    waiting = [stream("a", f"a{n}", 1) for n in range(3)] + [stream("b", "b0", 1.5), stream("c", "c0", 8)]
    # a's end at 1, 2 and 3 seconds, b's at 1.5, c's at 8.
    assert names(Turns(), waiting) == ["a0", "b0", "a1", "a2", "c0"]
    assert [pixels for _, pixels in Turns().order(waiting)][1] == 1.5 * MEGAPIXEL


def test_what_a_stream_really_took_counts() -> None:
    turns = Turns()
    waiting = [stream("a", "a", 1), stream("b", "b", 1)]
    assert names(turns, waiting) == ["a", "b"]
    turns.took("a", 3.0)  # a is at 3, those that come new at 1.5
    assert names(turns, waiting) == ["b", "a"]
    assert names(turns, [stream("a", "a", 1), stream("c", "c", 2), stream("b", "b", 1)]) == ["b", "c", "a"]
    turns.took("b", 1.0)
    names(turns, [])  # all have gone: b has no debt, and a's is not forgotten
    assert names(turns, [stream("a", "a", 1), stream("b", "b", 1)]) == ["b", "a"]


def simulate(
    costs: dict[str, tuple[float, float, float]], seconds: float, *, fresh: str = ""
) -> dict[str, float]:
    """Let devices send a stream every so often, {device: (every, megapixels, seconds it takes)}; return the longest
    that each waited for its next turn. The device `fresh` takes another name each time.
    """
    turns, now, number = Turns(), 0.0, 0
    due = dict.fromkeys(costs, 0.0)
    waiting: list[tuple[Claiming, str]] = []
    since: dict[str, float] = {}
    longest = dict.fromkeys(costs, 0.0)
    while now < seconds:
        for device, (every, megapixels, _) in costs.items():
            while due[device] <= now:
                number += 1
                called = f"{device}{number}" if device == fresh else device
                waiting.insert(0, (stream(called, str(number), megapixels), device))
                since.setdefault(device, due[device])
                due[device] += every
        for device, began in since.items():
            longest[device] = max(longest[device], now - began)
        chosen = next(turns.order(entry for entry, _ in waiting), None)
        if chosen is None:
            now = min(due.values())
            continue
        ((entry, device),) = [one for one in waiting if one[0] is chosen[0]]
        waiting.remove((entry, device))
        del since[device]
        if any(other == device for _, other in waiting):
            since[device] = now
        now += costs[device][2]
        turns.took(entry.device, costs[device][2])
    return longest


def test_vast_streams_that_never_end_delay_others_by_one_of_them() -> None:
    honest = {f"cam{n}": (10.0, 2.0, 0.5) for n in range(5)}
    waited = simulate({"hostile": (3.0, 32.0, 12.0), **honest}, 3000)
    assert max(waited[device] for device in honest) <= 12.0 + 2 * 5 * 0.5  # of each may have come twice
    assert waited["hostile"] < 20.0  # it has what time is left


def test_new_names_do_not_help() -> None:
    honest = {f"cam{n}": (10.0, 2.0, 0.5) for n in range(5)}
    waited = simulate({"hostile": (3.0, 32.0, 12.0), **honest}, 3000, fresh="hostile")
    assert max(waited[device] for device in honest) <= 12.0 + 2 * 5 * 0.5  # of each may have come twice
    waited = simulate({"hostile": (0.4, 2.0, 0.5), "cam": (10.0, 2.0, 0.5)}, 300, fresh="hostile")
    assert (
        waited["cam"] < 100.0
    )  # of 750 streams it waits for those of names that came before it, and no others


def test_a_camera_of_many_pixels_has_its_turn_where_there_is_no_time_for_all() -> None:
    busy = {f"cam{n}": (1.0, 2.0, 0.5) for n in range(4)}  # twice the time there is
    sent = {"large": (120.0, 11.0, 3.0), **busy}
    turns_of_all = simulate(sent, 1000)
    assert turns_of_all["large"] < 100.0
