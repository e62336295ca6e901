"""The wish to end: from a signal, from a call, and how it ends a wait."""

from __future__ import annotations

import os
import select
import signal
import threading
import time

from heliograph.stop import Stop


def test_a_signal_ends_a_wait_and_is_remembered() -> None:
    before = signal.getsignal(signal.SIGTERM)
    looks = []
    with Stop(lambda: looks.append(1)) as stop:
        assert not stop.wait(0)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        began = time.monotonic()
        assert stop.wait(60)
        assert time.monotonic() - began < 30
        assert stop.is_set
        assert stop.wait(60)
        os.kill(os.getpid(), signal.SIGINT)  # a second one does no harm
        assert stop.wait(0)
    assert looks
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_look_is_taken_again_and_again() -> None:
    looks = []
    with Stop(lambda: looks.append(time.monotonic())) as stop:
        assert not stop.wait(1.3)
    assert len(looks) == 3


def test_a_call_ends_the_wait_of_another_thread_and_is_seen_by_select() -> None:
    with Stop() as stop:
        assert not select.select([stop], [], [], 0)[0]
        waiter = threading.Thread(target=stop.wait, args=(60,))
        waiter.start()
        stop.set()
        stop.set()  # once more does no harm
        waiter.join(30)
        assert not waiter.is_alive()
        assert select.select([stop], [], [], 0)[0] == [stop]
