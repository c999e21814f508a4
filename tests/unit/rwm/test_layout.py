"""Which keys are RWM's own, and which directories are repositories."""

from __future__ import annotations

import pytest

from rwm.layout import is_own_key, is_repository_root


@pytest.mark.parametrize("key", ["rwm/", "rwm/states/x", "rwm/anything", "host1/rwm/states/", "a/b/rwm/states/x.gz"])
def test_own_keys(key: str) -> None:
    assert is_own_key(key)


@pytest.mark.parametrize("key", ["", "rwm", "rwmx/states/a", "host1/rwm/notes", "host1/xrwm/states/a", "data/rwm"])
def test_keys_of_others(key: str) -> None:
    assert not is_own_key(key)


def test_a_repository_has_config_beside_keys_and_data() -> None:
    assert is_repository_root(["config"], ["data", "keys"])
    assert is_repository_root({"config", "notes"}, {"data", "index", "keys", "locks", "snapshots", "host1"})
    assert not is_repository_root(["config"], ["data"])
    assert not is_repository_root(["config"], ["keys"])
    assert not is_repository_root([], ["config", "data", "keys"])
