"""The worst day of docs/operations.md: its commands, typed in their order after an attack."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from tests import ROOT
from tests.e2e.test_verify import PASSWORD, Place
from tests.servers import Server


def documented_commands() -> list[list[str]]:
    text = (ROOT / "docs" / "operations.md").read_text().partition("## The worst day\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line.strip()]


def attack(place: Place) -> None:
    """Overwrite the packs and hide everything, with the machine's keys."""
    user = place.server.connect("user1")
    keys = [entry.key for entry in user.versions(place.bucket) if entry.is_latest and not entry.is_marker]
    for key in keys:
        if key.startswith("data/"):
            user.put(place.bucket, key, os.urandom(100))
        user.delete(place.bucket, key)


def spoiled(place: Place) -> list[str]:
    """The states that `state list` shows as suspect."""
    listed = place.shell.json("rwm", "-c", "admin.conf", "state", "list", place.bucket)
    return [state["id"] for state in listed if state["verdict"] == "suspect"]


@pytest.mark.slow
def test_the_commands_of_the_worst_day(seaweedfs: Server, tmp_path: Path) -> None:
    place = Place(seaweedfs, tmp_path)
    place.shell.json("rwm", "-c", "admin.conf", "state", "sync", place.bucket)
    attack(place)
    commands = documented_commands()
    names = [" ".join(words) for words in commands]
    steps = ["storage freeze", "audit bucket1", "recover", "--in-place", "--to-bucket", "thaw"]
    places = [next(number for number, name in enumerate(names) if step in name) for step in steps]
    assert places == sorted(places)
    copy = f"bucket2-{place.bucket}"
    replaced = {"bucket1": place.bucket, "bucket2": copy, "/mnt/repo": "repo", "/restore": "files-back"}
    for words in commands:
        if words[3:5] == ["state", "forget"]:
            words[5:] = suspects = spoiled(place)
            assert len(suspects) == 1, "the state that the freeze has captured"
        typed = [replaced.get(word, word) for word in words]
        asks = ("--in-place" in typed and "--dry-run" not in typed) or "forget" in typed
        typed += ["--yes"] * asks  # no terminal here
        expected = None if "audit" in typed else 0  # 4: there are proofs
        place.shell(*typed, code=expected, RESTIC_PASSWORD=PASSWORD)
    assert spoiled(place) == []
    restored = [path for path in (tmp_path / "files-back").rglob("*") if path.is_file()]
    assert {path.name for path in restored} == {"0", "1", "2"}
    for path in restored:
        assert path.read_bytes() == (tmp_path / "files" / path.name).read_bytes()
    place.shell("rwm", "restic", "check", "--read-data")
    place.shell("rwm", "restic", "backup", str(tmp_path / "files"))
