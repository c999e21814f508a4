"""Finding programs."""

from __future__ import annotations

import pytest

from rwm import process
from rwm.errors import CommandMissing


class TestFindProgram:
    def test_the_path_is_absolute(self) -> None:
        assert process.find_program("sh") in {"/bin/sh", "/usr/bin/sh"}

    def test_a_missing_program_has_an_install_hint(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nonexistent")
        with pytest.raises(CommandMissing) as caught:
            process.find_program("restic")
        assert "restic" in caught.value.message
        assert "apt-get install restic" in caught.value.hint
