"""Selection of backups by name."""

from __future__ import annotations

import pytest

from rwm.backup.selection import select_backups
from rwm.errors import UsageError
from tests.unit.rwm.backup.backup_host import BackupHost


class TestSelectBackups:
    def test_names_keep_their_order_and_all_that_of_the_file(self, host: BackupHost) -> None:
        config = host.config({"a": {}, "b": {}, "c": {}})
        assert list(select_backups(config, ["c", "a"], all_backups=False)) == ["c", "a"]
        assert list(select_backups(config, [], all_backups=True)) == ["a", "b", "c"]

    @pytest.mark.parametrize(("names", "all_backups"), [([], False), (["a"], True)])
    def test_either_names_or_all_are_required(self, host: BackupHost, names: list[str], all_backups: bool) -> None:
        with pytest.raises(UsageError) as error:
            select_backups(host.config({"a": {}, "b": {}}), names, all_backups=all_backups)
        assert "a, b" in error.value.hint

    def test_an_unknown_name_is_a_usage_error(self, host: BackupHost) -> None:
        with pytest.raises(UsageError, match="unknown backup: x, y is not in") as error:
            select_backups(host.config({"a": {}}), ["a", "x", "y"], all_backups=False)
        assert "configured backups: a" in error.value.hint

    def test_a_configuration_without_backups(self, host: BackupHost) -> None:
        with pytest.raises(UsageError, match="has no backups"):
            select_backups(host.config({}), [], all_backups=True)
