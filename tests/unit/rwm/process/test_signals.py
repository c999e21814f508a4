"""No signal is lost between the steps of a run: it reaches the child, or ends the run after the step."""

from __future__ import annotations

import os
import select
import selectors
import signal
import threading
from typing import Any

import pytest

from rwm import process
from rwm.process.output import read_outputs
from rwm.process.signals import SIGNALS, SignalForwarding, wake_on_signals

NUMBERS = pytest.mark.parametrize("number", SIGNALS)


def expected(number: signal.Signals) -> type[BaseException]:
    return KeyboardInterrupt if number == signal.SIGINT else SystemExit


@NUMBERS
def test_a_signal_before_the_child_is_started_reaches_it(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = SignalForwarding.start

    def late_start(forwarding: SignalForwarding, child: object) -> None:
        os.kill(os.getpid(), number)
        start(forwarding, child)  # type: ignore[arg-type]

    monkeypatch.setattr(SignalForwarding, "start", late_start)
    with pytest.raises(expected(number)):
        process.run_shell("exec sleep 600")


@NUMBERS
def test_a_child_that_prints_nothing_is_interrupted_at_once(number: signal.Signals) -> None:
    """Many times: the signal must not wait for the return of a blocking call."""
    for _ in range(20):
        with pytest.raises(expected(number)):
            process.run_shell(f"kill -{number} $PPID; exec sleep 600", on_line=lambda _, line: None)


@NUMBERS
def test_a_deferred_signal_is_raised_at_the_end_of_the_block(number: signal.Signals) -> None:
    before, done = signal.getsignal(number), []

    def run() -> None:
        with process.defer_signals():
            os.kill(os.getpid(), number)
            done.append("the step")

    with pytest.raises(expected(number)):
        run()
    assert done
    assert signal.getsignal(number) == before


@NUMBERS
def test_no_child_is_started_after_a_deferred_signal_but_one_without_forwarding(number: signal.Signals) -> None:
    lines: list[str] = []

    def run() -> None:
        with process.defer_signals():
            os.kill(os.getpid(), number)
            process.run_shell("echo cleanup", on_line=lambda _, line: lines.append(line), forward_signals=False)
            process.run_shell("echo never", on_line=lambda _, line: lines.append(line))

    with pytest.raises(expected(number)):
        run()
    assert lines == ["cleanup"]


def test_a_block_may_be_left_where_it_says_so() -> None:
    steps: list[int] = []

    def run() -> None:
        with process.defer_signals() as raise_deferred:
            for step in range(3):
                raise_deferred()
                steps.append(step)
                if step == 1:
                    os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit):
        run()
    assert steps == [0, 1]


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with process.defer_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_makes_a_descriptor_readable() -> None:
    readable: list[bool] = []

    def run() -> None:
        with process.defer_signals(), wake_on_signals() as wakeup:
            assert wakeup is not None
            readable.append(bool(select.select([wakeup], [], [], 0)[0]))
            os.kill(os.getpid(), signal.SIGTERM)
            readable.append(bool(select.select([wakeup], [], [], 60)[0]))

    with pytest.raises(SystemExit):
        run()
    assert readable == [False, True]


def test_a_wait_for_output_ends_when_the_descriptor_is_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or Python would run the handler of a signal that came just before the wait when the child prints or ends."""
    selects: list[set[object]] = []
    select_ready = selectors.DefaultSelector.select

    def select(selector: selectors.DefaultSelector, timeout: float | None = None) -> object:
        ready = select_ready(selector, timeout)
        selects.append({key.fileobj for key, _ in ready})
        return ready

    wakeups: list[int] = []
    wait = read_outputs

    def signal_first(*arguments: Any) -> tuple[str, str]:
        wakeups.append(arguments[-1])
        signal.raise_signal(signal.SIGTERM)
        return wait(*arguments)

    monkeypatch.setattr(selectors.DefaultSelector, "select", select)
    monkeypatch.setattr("rwm.process.commands.read_outputs", signal_first)
    with pytest.raises(SystemExit):
        process.run_shell("exec sleep 600", on_line=lambda _, line: None)
    assert wakeups[0] in set().union(*selects)


def test_other_threads_have_no_handlers() -> None:
    found: list[object] = []

    def run() -> None:
        with process.defer_signals(), wake_on_signals() as wakeup:
            found.append(wakeup)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [None]
