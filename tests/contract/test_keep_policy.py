"""The keep rules, compared with ``restic forget`` on snapshots of many times: those of states, and of `rwm forget`."""

from __future__ import annotations

import json
import os
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rwm import process
from rwm.forget import ForgetPolicy
from rwm.times import DAY, SECOND
from rwm.trust.keep_policy import KeepPolicy
from tests import repositories, restics

HOUR = DAY // 24
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
PERIODS = ("hourly", "daily", "weekly", "monthly", "yearly")
DECEMBER = 1_703_808_000_000  # 2023-12-29: the ISO weeks about New Year are of the other year


def make_times(random_: random.Random) -> list[int]:
    """A history of captures or backups, some close together, some with long gaps."""
    times = [random_.choice([START, DECEMBER]) + random_.randrange(2 * DAY)]
    for _ in range(14):
        times.append(times[-1] + random_.randint(1, random_.choice([HOUR, 3 * HOUR, 2 * DAY, 20 * DAY, 200 * DAY])))
    return [time // SECOND * SECOND for time in times]


def make_policy(random_: random.Random) -> dict[str, str]:
    counts = [f"keep-{name}" for name in ("last", *PERIODS)]
    durations = ["keep-within", *(f"keep-within-{name}" for name in PERIODS)]
    policy = {name: str(random_.randint(1, 7)) for name in random_.sample(counts, random_.randint(1, 3))}
    return policy | {name: random_.choice(["5h", "3d", "40d12h"]) for name in random_.sample(durations, 1)}


@pytest.mark.slow
@restics.current_is_slow
def test_the_rules_keep_what_restic_keeps(restic_program: str, tmp_path: Path) -> None:
    environment = {**os.environ, "RESTIC_PASSWORD": "secret", "TZ": "UTC"}
    keeps_oldest = restics.version(restic_program) >= (0, 17)

    def restic(*words: str) -> str:
        done = process.run([restic_program, "-r", str(tmp_path / "repository"), *words], env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    random_ = random.Random(15)
    histories = {"host0": [START + round(day * DAY) // SECOND * SECOND for day in DAYS]}
    histories |= {f"host{number}": make_times(random_) for number in (1, 2)}
    (tmp_path / "file").touch()
    repositories.create(tmp_path / "repository", "secret")
    for host, times in histories.items():
        for time in times:
            local = datetime.fromtimestamp(time // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S")
            restic("backup", "--host", host, "--time", local, str(tmp_path / "file"))
    for policy in (*POLICIES, *(make_policy(random_) for _ in range(8))):
        options = [f"--{name}={value}" for name, value in policy.items()]
        groups = json.loads(restic("forget", "--dry-run", "--json", *options).splitlines()[0])
        assert len(groups) == len(histories)
        for group in groups:
            times = histories[group["host"]]
            found = {datetime.fromisoformat(one["time"]).timestamp() * SECOND for one in group["keep"]}
            kept = {position for position, time in enumerate(times) if time in found}
            states = KeepPolicy(policy).keeps(times)
            snapshots = set(ForgetPolicy(policy, (), ()).explain(times))
            assert len(kept) == len(found) and kept == (snapshots if keeps_oldest else states), (policy, times)
            assert states <= snapshots <= states | {0}
