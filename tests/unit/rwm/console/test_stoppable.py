"""Signals that end work as Ctrl-C does."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from rwm.console import interruptible


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_interrupts_and_a_second_one_has_its_usual_effect(number: signal.Signals) -> None:
    before, then = signal.getsignal(number), []

    def work() -> None:
        try:
            os.kill(os.getpid(), number)
        finally:
            then.append(signal.getsignal(number))

    with pytest.raises(KeyboardInterrupt), interruptible():
        work()
    assert then == [signal.SIG_DFL]
    assert signal.getsignal(number) == before


def test_what_is_ignored_stays_ignored() -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_another_thread_it_changes_nothing() -> None:
    found = []

    def work() -> None:
        with interruptible():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]
