"""restic's operations as steps, in the orders that restic 0.14 and 0.18 have on real servers.

The corpus (:mod:`tests.histories.corpus`) holds the measurements, and ``tests/unit/histories/test_restic.py`` compares
each operation with them. Measured with restic 0.14.0 and 0.18.0 on SeaweedFS 4.48 and Ceph RGW 16.2.15, beyond the
table of orders:

- a backup that finds nothing new, metadata included, writes a snapshot only: no pack and no index;
- ``ls`` of 0.14, ``list locks``, ``backup --dry-run``, ``unlock`` without locks and ``--no-lock`` leave no trace;
- ``key add`` and ``key passwd`` hold their lock for seconds (scrypt);
- ``forget --prune`` that removes no snapshot does not prune;
- prune of 0.18 writes an index that the same prune removes again, one of 0.14 does not;
- when no snapshot is left, prune removes all packs; 0.14 then writes an empty index, **0.18 leaves no index at all**:
  the only time when indexes go without a successor; a kill between them leaves packs and some indexes;
- packs that no index names are removed first, before anything is written;
- a killed prune leaves a repository that passes ``restic check``, or orphans; the next operation needs ``unlock``;
- both restics write a new lock at the refresh after their lock was removed. So a removal without a lock is honest for
  at most 300 s after a lock was **written**. Also after a sleep of the computer for longer than that: the overdue
  refresh is sent at once, before the next removal;
- ``recover`` of 0.18 may replace an index that names missing packs before it does anything else;
- a refresh of a lock writes the new one first, after 300 s, and then removes the old one (both restics);
- an operation whose lock was removed by ``unlock --remove-all`` goes on to its end and removes its lock once more: on
  Ceph RGW that leaves no trace, on SeaweedFS a second marker;
- a prune of 0.18 beside which that happened wrote its last index, and removed indexes and packs, after the lock's end;
- an operation that is refused because of a lock leaves no trace;
- a request whose answer is lost is repeated: a second version with the same size and ETag, and on SeaweedFS a second
  marker on a deleted key.

Of servers, with the same versions: SeaweedFS lists a ``null`` version last of its key even when it is the latest, Ceph
RGW in its place. A one-part multipart upload has an ETag with ``-1`` on both. A copy of an object onto itself with an
SSE-C key has the same size and ETag on SeaweedFS; RGW 16 copies without encrypting (same ETag), and takes a put with
such a key through TLS alone, which has the same size and ETag too.

Sizes are those of real files: config 155 bytes, keys 438 to 441, locks 134 to 146, snapshots 194 to 800.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal

from rwm.times import DAY, SECOND
from tests.histories.bucket import Bucket
from tests.histories.steps import Operation, Step

Version = Literal["0.14", "0.18"]

MINUTE = 60 * SECOND
REFRESH = 5 * MINUTE
"""How often restic replaces its lock by a new one."""

INDEX_EVERY = 10 * MINUTE
"""How often a backup writes an intermediate index."""

CONFIG_SIZE = 155
PACK_SIZE = 16 << 20
"""The default size of packs in bytes; packs are a little larger, the last one of a backup smaller."""

KINDS = ("data", "index", "keys", "locks", "snapshots")


class Repository:
    """A repository at a prefix of a bucket, and what its files mean: which packs an index names or a snapshot uses.

    Each method that returns an Operation is one command. With ``uses_locks`` False it is used by a client that has no
    lock files (:mod:`tests.histories.rustic`).
    """

    def __init__(
        self, bucket: Bucket, prefix: str = "", seed: int = 0, version: Version = "0.18", *, uses_locks: bool = True
    ) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.version: Version = version
        self.uses_locks = uses_locks
        self.random = random.Random(seed)
        self.packs_of: dict[str, tuple[str, ...]] = {}
        """Index key → the packs that it names."""
        self.used_by: dict[str, tuple[str, ...]] = {}
        """Snapshot key → the packs that it uses."""
        self.dead_locks: set[str] = set()
        """Locks of killed operations, or of those that will never remove them."""
        self.is_migrated = False
        self._exclusive: dict[str, bool] = {}
        self._moved: dict[str, list[str]] = {}
        """Repacked pack → the new ones with its content: several if RWM has undone a prune."""

    # --- reading -------------------------------------------------------------------------------------

    def files(self, kind: str) -> list[str]:
        """The current keys of a kind (``data``, ``index``, ``keys``, ``locks``, ``snapshots``), oldest first."""
        return self.bucket.keys(f"{self.prefix}{kind}/")

    def is_locked(self) -> bool:
        """Whether a lock file is there now."""
        return bool(self.files("locks"))

    def places(self, pack: str) -> list[str]:
        """Where the content of a pack is or was: in the pack, and in those into which it was repacked."""
        found = [pack]
        for place in found:
            found += [new for new in self._moved.get(place, ()) if new not in found]
        return found

    @property
    def config(self) -> str:
        return self.prefix + "config"

    def new_name(self, kind: str) -> str:
        """A new key of a kind."""
        name = f"{self.random.getrandbits(256):064x}"
        return f"{self.prefix}data/{name[:2]}/{name}" if kind == "data" else f"{self.prefix}{kind}/{name}"

    # --- operations ----------------------------------------------------------------------------------

    def init(self) -> Operation:
        """``init``."""
        yield self._put(self.new_name("keys"), self.random.randint(438, 441))
        yield self._put(self.config, CONFIG_SIZE)

    def backup(self, packs: int = 3, *, duration: int | None = None) -> Operation:
        """``backup`` that writes so many new packs, 0 for nothing new; ``duration`` in milliseconds."""
        return self._locked(self._backup(packs, duration))

    def read(self, duration: int = 2 * SECOND) -> Operation:
        """``snapshots``, ``stats``, ``find``, ``restore``, ``mount`` and all others that write nothing."""
        return self._locked(_wait(duration))

    def check(self, duration: int = 20 * SECOND) -> Operation:
        """``check``, which takes an exclusive lock."""
        return self._locked(_wait(duration), exclusive=True)

    def tag(self, count: int = 1) -> Operation:
        """``tag`` on the newest snapshots: each is replaced by a new file."""
        return self._locked(self._replace_snapshots(count, rewritten=False, forget=True), exclusive=True)

    def rewrite(self, count: int = 1, *, forget: bool = False) -> Operation:
        """``rewrite`` of the newest snapshots; with ``forget`` the old ones are removed."""
        body = self._replace_snapshots(count, rewritten=True, forget=forget)
        return self._locked(body, exclusive=forget)

    def repair_snapshots(self, count: int = 1) -> Operation:
        """``repair snapshots --forget`` that finds so many damaged ones."""
        return self.rewrite(count, forget=True)

    def forget(self, keep: int) -> Operation:
        """``forget --keep-last``."""
        return self._locked(self._forget(keep), exclusive=True)

    def prune(self, *, repack: int = 1) -> Operation:
        """``prune`` that repacks so many packs of those that are in use."""
        return self._locked(self._prune(repack), exclusive=True)

    def forget_prune(self, keep: int, *, repack: int = 1) -> Operation:
        """``forget --keep-last --prune``: one lock. It does not prune if it forgets nothing."""
        return self._locked(self._forget_prune(keep, repack), exclusive=True)

    def rebuild_index(self) -> Operation:
        """``rebuild-index`` of 0.14, ``repair index`` of 0.18."""
        return self._locked(self._rebuild_index(), exclusive=True)

    def repair_packs(self, count: int = 1) -> Operation:
        """``repair packs`` of damaged packs: what can be read of them is written to a new one."""
        return self._locked(self._repair_packs(count), exclusive=True)

    def recover(self, *, repairs_index: bool = False) -> Operation:
        """``recover``: a snapshot of what no snapshot refers to. 0.18 may replace an index first."""
        return self._locked(self._recover(repairs_index))

    def key_add(self) -> Operation:
        """``key add``."""
        return self._locked(self._change_keys(add=True, remove=False))

    def key_remove(self) -> Operation:
        """``key remove`` of an older key; nothing happens when there is one only."""
        return self._locked(self._change_keys(add=False, remove=True), exclusive=True)

    def key_passwd(self) -> Operation:
        """``key passwd``: the new key comes before the old one goes."""
        return self._locked(self._change_keys(add=True, remove=True), exclusive=True)

    def migrate(self) -> Operation:
        """``migrate upgrade_repo_v2``: the only operation that writes a key again, with another content."""
        return self._locked(self._migrate(), exclusive=True)

    def copy_into(self, snapshots: int = 1) -> Operation:
        """``copy`` from another repository: packs, an index and a snapshot for each snapshot."""
        return self._locked(self._copy_into(snapshots))

    def unlock(self, *, remove_all: bool = False) -> Operation:
        """``unlock``: locks of ended processes; with ``remove_all`` also those of running ones."""
        for lock in self.files("locks"):
            if remove_all or lock in self.dead_locks:
                yield self._delete(lock, parallel=True)

    # --- bodies --------------------------------------------------------------------------------------

    def _backup(self, packs: int, duration: int | None) -> Operation:
        pause = 300 if duration is None else duration // max(packs, 1)
        parent = [pack for key in self.files("snapshots")[-1:] for pack in self.used_by.get(key, ())]
        packs = packs or (0 if parent else 1)  # the first snapshot has at least a directory
        unindexed: list[str] = []
        written: list[str] = []
        waited = 0
        for _ in range(packs):
            pack = self.new_name("data")
            delay = self.random.randint(pause // 2, pause * 3 // 2)
            yield self._put(pack, self._pack_size(), delay=delay, parallel=True)
            written.append(pack)
            unindexed.append(pack)
            waited += delay
            if waited > INDEX_EVERY:
                waited = 0
                yield self._put_index(unindexed)
                unindexed = []
        if unindexed:
            yield self._put_index(unindexed)
        inherited = [pack for pack in parent if not written or self.random.random() < 0.9]
        yield self._put_snapshot([*written, *inherited])

    def _replace_snapshots(self, count: int, *, rewritten: bool, forget: bool) -> Operation:
        for old in self.files("snapshots")[-count:]:
            packs = list(self.used_by.get(old, ()))
            if rewritten:
                pack = self.new_name("data")
                yield self._put(pack, self.random.randint(290, 40_000))
                yield self._put_index([pack])
                packs.append(pack)
            yield self._put_snapshot(packs)
            if forget:
                yield self._delete(old)

    def _forget(self, keep: int) -> Operation:
        snapshots = self.files("snapshots")
        for old in snapshots[: max(0, len(snapshots) - keep)]:
            yield self._delete(old, parallel=True)

    def _forget_prune(self, keep: int, repack: int) -> Operation:
        if len(self.files("snapshots")) > keep:
            yield from self._forget(keep)
            yield from self._prune(repack)

    def _prune(self, repack: int) -> Operation:
        indexes = self.files("index")
        named = dict.fromkeys(pack for index in indexes for pack in self.packs_of.get(index, ()))
        present = set(self.files("data"))
        for orphan in [pack for pack in self.files("data") if pack not in named]:
            yield self._delete(orphan, parallel=True)
        known = [pack for pack in named if pack in present]
        used = self._used(known)
        unused = [pack for pack in known if pack not in used]
        kept = [pack for pack in known if pack in used]
        repacked = self.random.sample(kept, min(repack, len(kept)))
        if not unused and not repacked:
            return
        new = []
        if repacked:
            pack = self.new_name("data")
            yield self._put(pack, self._pack_size(), delay=200)
            new.append(pack)
        removed = [*unused, *repacked]
        gone = set(removed)
        final = [pack for pack in kept if pack not in gone] + new
        old_indexes = list(indexes)
        if new and self.version == "0.18":  # an index of the new pack alone, which is then an old one too
            short_lived = self._put_index(new)
            yield short_lived
            old_indexes.append(short_lived.key)
        if final or self.version == "0.14":  # when no pack is left, 0.18 leaves no index
            yield self._put_index(final)
        self._note_moved(repacked, new)  # not before: a killed prune has moved nothing
        for index in old_indexes:
            yield self._delete(index, parallel=True)
        for pack in removed:
            yield self._delete(pack, parallel=True)

    def _rebuild_index(self) -> Operation:
        indexes = self.files("index")
        yield self._put_index(self.files("data"), delay=400)
        for index in indexes:
            yield self._delete(index, parallel=True)

    def _repair_packs(self, count: int) -> Operation:
        damaged = self.files("data")[:count]
        indexes = self.files("index")
        if not damaged:
            return
        pack = self.new_name("data")
        yield self._put(pack, self.random.randint(290, 4 << 20))
        first = self._put_index([pack])
        yield first
        yield self._put_index([key for key in self.files("data") if key not in damaged])
        self._note_moved(damaged, [pack])
        for index in [*indexes, first.key]:
            yield self._delete(index, parallel=True)
        for old in damaged:
            yield self._delete(old, parallel=True)

    def _recover(self, repairs_index: bool) -> Operation:
        if repairs_index and self.version == "0.18":
            yield from self._rebuild_index()
        pack = self.new_name("data")
        yield self._put(pack, self.random.randint(290, 4000))
        yield self._put_index([pack])
        named = {pack for index in self.files("index") for pack in self.packs_of.get(index, ())}
        yield self._put_snapshot([each for each in self.files("data") if each in named])

    def _change_keys(self, *, add: bool, remove: bool) -> Operation:
        old = self.files("keys")
        if add:
            yield self._put(self.new_name("keys"), self.random.randint(438, 441), delay=3 * SECOND)
        elif len(old) < 2:
            return
        if remove:
            yield self._delete(old[0])

    def _migrate(self) -> Operation:
        if not self.is_migrated:
            yield self._put(self.config, CONFIG_SIZE, "migrated")
            self.is_migrated = True

    def _copy_into(self, snapshots: int) -> Operation:
        for _ in range(snapshots):
            packs = [self.new_name("data") for _ in range(self.random.randint(1, 3))]
            for pack in packs:
                yield self._put(pack, self._pack_size(), parallel=True)
            yield self._put_index(packs)
            yield self._put_snapshot(packs)

    # --- locks ---------------------------------------------------------------------------------------

    def _locked(self, body: Operation, *, exclusive: bool = False) -> Operation:
        """A body within a lock, which is replaced by a new one every five minutes; nothing if another one forbids it.

        A killed operation leaves its lock. One whose lock was removed by somebody else goes on, and has a lock again
        after the next refresh.
        """
        if not self.uses_locks:
            yield from body
            return
        if self._is_refused(exclusive):
            return
        lock = self._new_lock(exclusive)
        try:
            yield self._put_lock(lock)
            yield Step("wait", delay=200)
            if self._is_refused(exclusive, own=lock):
                yield self._delete(lock)
                return
            age = 0
            for step in body:
                delay = step.delay
                while age + delay >= REFRESH:
                    new = self._new_lock(exclusive)
                    yield self._put_lock(new, delay=REFRESH - age)
                    yield self._delete(lock)
                    delay, age, lock = max(delay - (REFRESH - age), 1), 0, new
                age += delay
                yield step._replace(delay=delay)
            yield self._delete(lock)
        finally:
            self.dead_locks.add(lock)

    def _is_refused(self, exclusive: bool, own: str = "") -> bool:
        """Whether another lock forbids the operation."""
        return any(exclusive or self._exclusive.get(lock, False) for lock in self.files("locks") if lock != own)

    def _new_lock(self, exclusive: bool) -> str:
        lock = self.new_name("locks")
        self._exclusive[lock] = exclusive
        return lock

    # --- steps ---------------------------------------------------------------------------------------

    def _put(self, key: str, size: int, content: str = "", *, delay: int = 30, parallel: bool = False) -> Step:
        return Step("put", key, size, delay, content, parallel)

    def _delete(self, key: str, *, parallel: bool = False) -> Step:
        return Step("delete", key, delay=self.random.randint(1, 12), parallel=parallel)

    def _put_lock(self, key: str, *, delay: int = 50) -> Step:
        return self._put(key, self.random.randint(134, 146), delay=delay)

    def _put_index(self, packs: Iterable[str], *, delay: int = 30) -> Step:
        key = self.new_name("index")
        self.packs_of[key] = tuple(packs)
        return self._put(key, 200 + 150 * len(self.packs_of[key]) + self.random.randrange(200), delay=delay)

    def _put_snapshot(self, packs: Sequence[str]) -> Step:
        key = self.new_name("snapshots")
        present = set(self.files("data"))
        self.used_by[key] = tuple(dict.fromkeys(self._place(pack, present) for pack in packs))
        return self._put(key, self.random.randint(194, 800))

    def _pack_size(self) -> int:
        is_last = self.random.random() < 0.4
        return self.random.randint(290, 40_000) if is_last else PACK_SIZE + self.random.randrange(PACK_SIZE)

    def _note_moved(self, packs: Sequence[str], new: Sequence[str]) -> None:
        for pack in packs:
            self._moved[pack] = [*self._moved.get(pack, ()), *new]

    def _used(self, known: Collection[str]) -> set[str]:
        """Which of the known packs the snapshots use: of several with the same content, the newest."""
        names = set(known)
        return {self._place(pack, names) for key in self.files("snapshots") for pack in self.used_by.get(key, ())}

    def _place(self, pack: str, present: AbstractSet[str]) -> str:
        """The newest place of the content of a pack that is there."""
        places = self.places(pack)
        return next((place for place in reversed(places) if place in present), places[-1])


def _wait(duration: int) -> Operation:
    """An operation that writes nothing for that long."""
    for _ in range(max(1, duration // DAY)):
        yield Step("wait", delay=min(duration, DAY))
