"""A client without lock files, as rustic is: the same names and formats as restic's, and no ``locks/``.

From rustic's documentation, not measured: ``prune`` marks packs in a new index and deletes them in a later prune, a day
or more after, and ``config`` is written again, in another size, when an option of the repository changes.
"""

from __future__ import annotations

from tests.histories.bucket import Bucket
from tests.histories.restic import CONFIG_SIZE, Repository
from tests.histories.steps import Operation


class RusticRepository(Repository):
    """A repository that only rustic uses."""

    def __init__(self, bucket: Bucket, prefix: str = "", seed: int = 0) -> None:
        super().__init__(bucket, prefix, seed, uses_locks=False)
        self._marked: list[str] = []
        """Packs that the last prune marked."""

    def init(self) -> Operation:
        """``init``: a configuration with more fields than restic's."""
        for step in super().init():
            yield step._replace(size=step.size + self.random.randint(10, 90)) if step.key == self.config else step

    def _prune(self, repack: int) -> Operation:
        indexes, packs = self.files("index"), self.files("data")
        used = self._used(packs)
        due = [pack for pack in self._marked if pack in packs and pack not in used]
        self._marked = [pack for pack in packs if pack not in used and pack not in due]
        if not due and not self._marked:
            return
        yield self._put_index([pack for pack in packs if pack not in due])
        for index in indexes:
            yield self._delete(index, parallel=True)
        for pack in due:
            yield self._delete(pack, parallel=True)

    def set_option(self) -> Operation:
        """``config --set-…``: the configuration is written again."""
        yield self._put(self.config, CONFIG_SIZE + self.random.randint(10, 90), f"option {self.random.random()}")
