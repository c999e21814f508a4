"""The lifecycle rule that comes nearest to a prune."""

from __future__ import annotations

import pytest

from rwm.location import Location
from rwm.prune.lifecycle import lifecycle_rule
from rwm.times import DAY

NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("age", "min_age", "days"),
    [(0, 0, 1), (DAY, 0, 1), (DAY + 1, 0, 2), (30 * DAY, 7 * DAY, 30), (DAY, 7 * DAY, 7), (DAY, 7 * DAY + 1, 8)],
)
def test_versions_stay_as_long_as_kept_states_or_the_minimum_age_need_them(age: int, min_age: int, days: int) -> None:
    (rule,) = lifecycle_rule(Location("bucket1"), NOW - age, NOW, min_age)["Rules"]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": days}
    assert rule["Filter"] == {"Prefix": ""}
    assert rule["Expiration"] == {"ExpiredObjectDeleteMarker": True}


def test_a_prefix_limits_the_rule() -> None:
    (rule,) = lifecycle_rule(Location("bucket1", "host1/"), NOW, NOW, 0)["Rules"]
    assert (rule["ID"], rule["Filter"]) == ("rwm-prune-host1", {"Prefix": "host1/"})
