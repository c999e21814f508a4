"""Which keys are RWM's own, and which directories are repositories."""

from __future__ import annotations

import pytest

from rwm.layout import enclosing_root, is_key_file, is_own_key, is_repository_root, is_restic_name


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


def test_before_its_first_backup_a_repository_has_a_key_file_and_no_data() -> None:
    assert is_repository_root(["config"], ["keys"], has_key_file=True)
    assert not is_repository_root([], ["keys"], has_key_file=True)
    assert not is_repository_root(["config"], [], has_key_file=True)
    assert is_key_file("0a" * 32)
    assert not any(map(is_key_file, ["", "k", "0A" * 32, "0a" * 32 + "\n", "٠" * 64]))


@pytest.mark.parametrize("name", ["config", "keys/k", "data/p", "data/0a/p", "snapshots/s", "locks/l", "index/i", "x"])
def test_names_of_restic(name: str) -> None:
    assert is_restic_name(name)


@pytest.mark.parametrize(
    "name",
    ["x/y", "data/x/p", "data/0a/config", "data/config", "data/0a/keys/k", "data/0a/", "index/a/i", "keys/x/", "keys/"],
)
def test_names_that_restic_does_not_give(name: str) -> None:
    assert not is_restic_name(name)


class TestEnclosingRoot:
    ROOTS = ("", "host1/", "host1/data/old/")

    @pytest.mark.parametrize(
        ("prefix", "root"),
        [
            ("data/", ""),
            ("snapshots/a/b/", ""),
            ("data/notes/keys/", ""),
            ("host1/keys/", "host1/"),
            ("host1/data/00/", "host1/"),
            ("host1/data/old/locks/", "host1/data/old/"),
        ],
    )
    def test_a_directory_of_a_repository(self, prefix: str, root: str) -> None:
        assert enclosing_root(prefix, self.ROOTS.__contains__) == root

    @pytest.mark.parametrize("prefix", ["", "notes/", "notes/data/", "host1/", "host1/data/old/", "host1/data/old/x/"])
    def test_a_place_of_its_own(self, prefix: str) -> None:
        assert enclosing_root(prefix, self.ROOTS.__contains__) is None

    def test_only_what_matters_is_asked(self) -> None:
        asked: list[str] = []

        def is_root(prefix: str) -> bool:
            asked.append(prefix)
            return False

        assert enclosing_root("sites/host1/index/", is_root, "sites/") is None
        assert asked == ["sites/host1/"]
