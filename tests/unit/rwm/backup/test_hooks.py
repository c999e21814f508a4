"""Hooks: order, environment, failures and signals."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from rwm.backup.hooks import run_hooks
from tests.unit.rwm.backup.backup_host import BUCKET, BackupHost, outcomes, restic_exits


class TestHooks:
    def test_hooks_run_around_restic_with_name_and_outcome(self, host: BackupHost) -> None:
        prerun = [host.note("one $RWM_BACKUP $(wc -l < $RESTIC_LOG)"), host.note("two")]
        postrun = [host.note("after $RWM_BACKUP $RWM_BACKUP_OUTCOME $(wc -l < $RESTIC_LOG)")]
        host.log.touch()
        host.run({"etc": {"prerun": prerun, "postrun": postrun}})
        assert host.trail == ["one etc 0", "two", "after etc ok 1"]

    def test_a_failed_prerun_skips_restic_but_not_postrun(self, host: BackupHost) -> None:
        postrun = [host.note("cleanup $RWM_BACKUP_OUTCOME")]
        report = host.run({"etc": {"prerun": ["exit 5", host.note("never")], "postrun": postrun}, "home": {}})
        assert host.calls == ["backup -- /etc"]
        assert host.trail == ["cleanup failed"]
        assert outcomes(report) == {"etc": "failed", "home": "ok"}
        assert report.backups[0].exit_code is None
        assert report.backups[0].detail == "prerun 1 of 2 failed with exit code 5"
        assert report.exit_code == 3

    def test_a_failed_postrun_makes_the_backup_partial(self, host: BackupHost) -> None:
        report = host.run({"etc": {"postrun": ["false", host.note("never")]}}, retention={"keep-last": 1})
        assert outcomes(report) == {"etc": "partial"}
        assert report.backups[0].exit_code == 0
        assert report.backups[0].detail == "postrun 1 of 2 failed with exit code 1"
        assert host.trail == []
        assert report.forget is None
        assert report.exit_code == 3

    def test_a_failed_postrun_does_not_hide_that_restic_failed(self, host: BackupHost) -> None:
        report = host.run({"etc": {**restic_exits(1), "postrun": ["false"]}})
        assert outcomes(report) == {"etc": "failed"}
        assert "restic failed (exit code 1); postrun 1 of 1 failed" in report.backups[0].detail

    def test_a_hook_killed_by_a_signal_has_failed(self, host: BackupHost) -> None:
        report = host.run({"etc": {"prerun": ["kill -9 $$"]}, "home": {}})
        assert outcomes(report) == {"etc": "failed", "home": "ok"}

    @pytest.mark.parametrize("kind", ["prerun", "postrun"])
    def test_a_hook_that_cannot_be_started_does_not_stop_the_run(self, host: BackupHost, kind: str) -> None:
        report = host.run({"etc": {kind: ["# " + "x" * 200_000]}, "home": {}})
        assert outcomes(report) == {"etc": "failed" if kind == "prerun" else "partial", "home": "ok"}
        assert f"{kind} 1 of 1 failed: sh could not be started" in report.backups[0].detail
        assert report.state

    def test_command_lines_of_hooks_are_not_printed(self, host: BackupHost) -> None:
        hooks = ["true hunter2", "false hunter2"]
        report = host.run({"a": {"prerun": hooks}, "b": {"postrun": hooks}})
        assert [result.detail for result in report.backups] == [
            f"{kind} 2 of 2 failed with exit code 1" for kind in ("prerun", "postrun")
        ]
        assert "hunter2" not in "".join(host.output) + repr(report)
        assert [line for line in host.output if "run " in line] == [
            f"{kind} {number} of 2" for kind in ("prerun", "postrun") for number in (1, 2)
        ]

    @pytest.mark.parametrize(
        ("number", "end"),
        [("INT", KeyboardInterrupt), ("TERM", SystemExit), ("HUP", SystemExit)],
    )
    @pytest.mark.parametrize("during", ["prerun", "restic"])
    def test_postrun_runs_before_a_signal_ends_the_run(
        self, host: BackupHost, during: str, number: str, end: type[BaseException]
    ) -> None:
        """The child sends it to its parent, which passes it on to the child."""
        interrupted = f"kill -{number} $PPID; exec sleep 60"
        if during == "restic":
            (host.directory / "bin" / "restic").write_text(f'#!/bin/sh\n[ "$1" = version ] || {{ {interrupted}; }}\n')
        prerun = [interrupted] if during == "prerun" else []
        postrun = [host.note("cleanup $RWM_BACKUP_OUTCOME"), "exit 7"]
        with pytest.raises(end) as error:
            host.run({"etc": {"prerun": prerun, "postrun": postrun}, "home": {"prerun": [host.note("never")]}})
        assert not isinstance(error.value, SystemExit) or error.value.code == 128 + signal.Signals[f"SIG{number}"]
        assert host.trail == ["cleanup failed"]
        assert host.output[-1] == "error: postrun 2 of 2 failed with exit code 7"
        assert host.s3.present(BUCKET).keys() == {"config"}

    @pytest.mark.parametrize(
        ("number", "end"),
        [("INT", KeyboardInterrupt), ("TERM", SystemExit), ("HUP", SystemExit)],
    )
    def test_a_signal_during_postrun_does_not_interrupt_it(
        self, host: BackupHost, number: str, end: type[BaseException]
    ) -> None:
        postrun = [f"kill -{number} $PPID", host.note("cleanup $RWM_BACKUP_OUTCOME")]
        with pytest.raises(end):
            host.run({"etc": {"postrun": postrun}, "home": {"prerun": [host.note("never")]}})
        assert host.trail == ["cleanup ok"]
        assert host.s3.present(BUCKET).keys() == {"config"}

    @pytest.mark.parametrize("number", ["INT", "TERM", "HUP"])
    def test_a_signal_between_prerun_and_restic_is_followed_by_postrun(
        self, host: BackupHost, monkeypatch: pytest.MonkeyPatch, number: str
    ) -> None:
        def run_prerun_and_signal(kind: str, *arguments: Any, **options: Any) -> str:
            failure = run_hooks(kind, *arguments, **options)
            if kind == "prerun":
                os.kill(os.getpid(), signal.Signals[f"SIG{number}"])
            return failure

        monkeypatch.setattr("rwm.backup.run.run_hooks", run_prerun_and_signal)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            host.run({"etc": {"prerun": ["true"], "postrun": [host.note("cleanup $RWM_BACKUP_OUTCOME")]}})
        assert host.trail == ["cleanup failed"]
        assert host.calls == []
