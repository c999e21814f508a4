"""The command names of the original tool."""

from __future__ import annotations

import pytest

from tests.unit.memory import MemoryS3
from tests.unit.rwm.cli.state_helpers import (
    HERE,
    list_states,
)
from tests.unit.terminal import Terminal


class TestAliases:
    @pytest.mark.parametrize("name", ["storage_delete", "storage-delete"])
    def test_delete(self, rwm_: Terminal, s3: MemoryS3, name: str) -> None:
        assert rwm_("-c", "here.conf", name, "bucket1", "--yes") == 0
        assert s3.buckets == {}

    @pytest.mark.parametrize("name", ["storage_drop_versions", "storage-drop-versions"])
    def test_drop_versions_keeps_the_newest_state_and_what_is_present(
        self, rwm_: Terminal, s3: MemoryS3, replaced: list[str], name: str
    ) -> None:
        rwm_("-c", "here.conf", "storage_state", "bucket1")
        s3.now += 5000
        present = s3.put("bucket1", "notes", b"4")
        assert rwm_("-c", "here.conf", name, "bucket1") == 0
        there = [entry.version_id for entry in s3.versions("bucket1") if entry.key == "notes"]
        assert there == [present, replaced[-1]]

    def test_drop_versions_is_refused_when_it_would_lose_data(self, rwm_: Terminal, s3: MemoryS3) -> None:
        assert rwm_("-c", "here.conf", "storage_drop_versions", "bucket1") == 5
        assert s3.deleted == []

    def test_restore_state_takes_an_id_or_the_key_of_a_state_file(self, rwm_: Terminal, s3: MemoryS3) -> None:
        rwm_("-c", "here.conf", "storage_state", "bucket1")
        ((key, _),) = [item for item in s3.present("bucket1").items() if item[0].startswith("rwm/states/")]
        (info,) = list_states(rwm_, conf=HERE)
        for target, name in (("one", info["id"]), ("two", info["id"][:9]), ("three", key), ("four", "latest")):
            assert rwm_("-c", "here.conf", "storage_restore_state", "bucket1", target, name) == 0
            assert s3.present(target).keys() == {"config"}
        assert rwm_("-c", "here.conf", "storage_restore_state", "bucket1", "five", "rwm/state_2024.json.gz") == 1
        assert "`rwm -c here.conf state sync bucket1` reads the state files there" in rwm_.err
        assert "five" not in s3.buckets

    def test_backup_all(self, rwm_: Terminal, s3: MemoryS3) -> None:
        assert rwm_("-c", "here.conf", "backup_all") == 2
        assert "has no backups" in rwm_.err
