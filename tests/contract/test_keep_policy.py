"""The retention as the audit understands it, compared with ``restic forget``."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rwm import process
from rwm.times import DAY, SECOND
from rwm.trust.keep_policy import KeepPolicy
from tests import restics

START = 1_577_836_800_000  # 2020-01-01: restic ignores the future
DAYS = (0, 1, 1.2, 7, 30, 31, 45, 400, 400.1, 401)
POLICIES = (
    {"keep-last": "2"},
    {"keep-daily": "3"},
    {"keep-weekly": "2", "keep-monthly": "2"},
    {"keep-yearly": "5", "keep-hourly": "1"},
    {"keep-within": "1m3d"},
    {"keep-within-daily": "2d", "keep-last": "1"},
)


@pytest.mark.slow
@restics.current_is_slow
def test_the_audit_keeps_what_restic_keeps(restic_program: str, tmp_path: Path) -> None:
    environment = {**os.environ, "RESTIC_PASSWORD": "secret", "TZ": "UTC"}

    def restic(*words: str) -> str:
        done = process.run([restic_program, "-r", str(tmp_path / "repository"), *words], env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    (tmp_path / "file").touch()
    restic("init")
    times = [START + round(day * DAY) // SECOND * SECOND for day in DAYS]
    for time in times:
        local = datetime.fromtimestamp(time // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S")
        restic("backup", "--time", local, str(tmp_path / "file"))
    for policy in POLICIES:
        options = [f"--{name}={value}" for name, value in policy.items()]
        (group,) = json.loads(restic("forget", "--dry-run", "--json", *options).splitlines()[0])
        kept = {datetime.fromisoformat(one["time"]).timestamp() * SECOND for one in group["keep"]}
        ours = {times[position] for position in KeepPolicy(policy).keeps(times)}
        oldest = {times[0]} if restics.version(restic_program) >= (0, 17) else set()
        assert ours <= kept <= ours | oldest, policy
