"""A prune beside a writer, in any interleaving: nothing that the writer did is lost, nothing deleted comes back."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from rwm.index import Index
from rwm.prune import plan_prune, prune_and_forget
from rwm.s3 import DeleteFailure
from rwm.times import SECOND
from tests.unit.memory import MemoryS3
from tests.unit.rwm.prune.test_plan_check import BUCKET, KEYS, LOCATION, Scene, exact


class Writer:
    """Writes and deletes keys, and knows what is current because of that."""

    def __init__(self, s3: MemoryS3, rng: random.Random) -> None:
        self._s3 = s3
        self._rng = rng
        self.current = s3.present(BUCKET)
        self.written: set[tuple[str, str]] = set()

    def act(self) -> None:
        """Do a few things."""
        for _ in range(self._rng.randrange(3)):
            self._s3.now += self._rng.choice([0, 2 * SECOND])
            key = self._rng.choice([*KEYS, "new"])
            if self._rng.random() < 0.4:
                self._s3.delete(BUCKET, key)
                self.current.pop(key, None)
            else:
                self.current[key] = self._s3.put(BUCKET, key, b"written meanwhile")
                self.written.add((key, self.current[key]))


@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(n, marks=pytest.mark.slow) for n in range(8, 60))])
def test_a_writer_loses_nothing(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwm.prune.delete_batches.DELETE_BATCH", 1)
    monkeypatch.setattr("rwm.prune.delete_batches.THREADS", 1)
    with Index.open(tmp_path / "index.sqlite") as index:
        scene = Scene(index, tmp_path, seed)
        s3, newest = scene.s3, max(scene.states, key=lambda info: info.captured_at)
        kept = {(entry.key, entry.version_id) for entry in index.entries(newest)}
        if scene.rng.random() < 0.5:
            plan = plan_prune(s3, index, LOCATION, [newest])
            writer = Writer(s3, scene.rng)
            writer.act()
        else:
            scene.store()
            writer = Writer(s3, scene.rng)
            writer.act()
            plan = scene.again()
        before, planned, plain = scene.present(), exact(plan), s3.delete_versions

        def delete(bucket: str, pairs: Sequence[tuple[str, str]]) -> list[DeleteFailure]:
            writer.act()
            failures = plain(bucket, pairs)
            assert s3.present(BUCKET) == writer.current
            return failures

        monkeypatch.setattr(s3, "delete_versions", delete)
        result = prune_and_forget(s3, index, plan)
        left = scene.present()
        assert result.failures == ()
        assert s3.present(BUCKET) == writer.current
        assert writer.written <= left
        assert kept <= left
        assert before - left == planned
