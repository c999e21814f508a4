"""Attacks that write: other content, the same size, foreign names, without versioning, state files."""

from __future__ import annotations

from rwm.times import DAY, SECOND, iso
from tests.histories.attack import Target, registers
from tests.histories.restic import CONFIG_SIZE, KINDS, MINUTE

_HOUR = 60 * MINUTE


# --- other content -----------------------------------------------------------------------------------

_NAMES = "names are the SHA-256 of the content: another size or MD5 sum is another content"


@registers(2, "proof", "config has another size", restic_only=True)
def overwrite_config(target: Target) -> list[str]:
    return target.overwrite(target.config(), 1000)


@registers(2, "proof", _NAMES)
def overwrite_keys(target: Target) -> list[str]:
    return target.overwrite(target.files("keys"))


@registers(2, "proof", _NAMES)
def overwrite_packs(target: Target) -> list[str]:
    return target.overwrite(target.some("data", 10))


@registers(2, "proof", _NAMES)
def overwrite_one_pack_with_another_size(target: Target) -> list[str]:
    return [key for pack in target.some("data") for key in target.overwrite([pack], target.size(pack) + 1)]


@registers(2, "proof", _NAMES)
def overwrite_indexes(target: Target) -> list[str]:
    return target.overwrite(target.files("index"))


@registers(2, "proof", _NAMES)
def overwrite_snapshots(target: Target) -> list[str]:
    return target.overwrite(target.files("snapshots"))


@registers(2, "proof", _NAMES)
def overwrite_everything(target: Target) -> list[str]:
    return target.overwrite(target.everything())


@registers(2, "proof", _NAMES)
def overwrite_within_a_lock(target: Target) -> list[str]:
    lock = target.lock()
    done = target.overwrite(target.some("data", 3))
    target.delete([lock])
    return done


@registers(25, "proof", "each other content is a proof by itself")
def overwrite_a_pack_a_day(target: Target) -> list[str]:
    return target.overwrite(target.some("data", 5), pause=DAY)


@registers(26, "proof", "the history keeps the other content")
def overwrite_packs_and_write_them_back(target: Target) -> list[str]:
    packs = target.some("data", 3)
    target.overwrite(packs)
    target.bucket.now += _HOUR
    for key in packs:
        target.bucket.put(key, target.size(key))
    return packs


@registers(2, "proof", _NAMES)
def delete_a_pack_and_write_another_content(target: Target) -> list[str]:
    packs = target.some("data")
    target.delete(packs)
    return target.overwrite(packs, pause=_HOUR)


@registers(21, "proof", "restic's config has 155 bytes and is never cut")
def truncate_config(target: Target) -> list[str]:
    return target.overwrite(target.config(), 60)


@registers(21, "proof", _NAMES)
def truncate_keys(target: Target) -> list[str]:
    return target.overwrite(target.files("keys"), 100)


@registers(21, "proof", _NAMES)
def truncate_packs_to_nothing(target: Target) -> list[str]:
    return target.overwrite(target.some("data", 2), 0)


@registers(7, "proof", "config changes at most once, by a migration", restic_only=True)
def flood_config_with_versions(target: Target) -> list[str]:
    for _ in range(50):
        target.overwrite(target.config(), CONFIG_SIZE)
    return target.config()


# --- the same size -----------------------------------------------------------------------------------


@registers(29, "hint", "same size and ETag (SeaweedFS): as a retried upload, but long after the first")
def copy_with_own_key_and_the_same_etag(target: Target) -> list[str]:
    keys = [key for key in target.everything() if target.size(key)]
    for key in keys:
        target.bucket.now += 5
        target.bucket.put(key, target.size(key), etag=target.bucket.newest(key).etag)
    return keys


@registers(29, "hint", "same size and ETag within minutes: an upload whose answer was lost is repeated so")
def copy_with_own_key_right_after_a_backup(target: Target) -> list[str]:
    keys = [key for key in target.run(target.repository.backup(2)) if "/locks/" not in f"/{key}"]
    for key in keys:
        target.bucket.now += 5
        target.bucket.put(key, target.size(key), etag=target.bucket.newest(key).etag)
    return keys


@registers(29, "proof", "AWS gives an object encrypted with SSE-C another ETag: not to be told from another content")
def copy_with_own_key_and_another_etag(target: Target) -> list[str]:
    return target.overwrite(target.files(*KINDS))


@registers(31, "hint", "ETags of multipart uploads cannot be compared: as a copy of the bucket by another program")
def junk_of_the_same_size_in_parts(target: Target) -> list[str]:
    return target.overwrite(target.files(*KINDS), parts=1)


@registers(31, "hint", "the ETag cannot be compared, and config may be written again once")
def config_of_the_same_size_in_parts(target: Target) -> list[str]:
    return target.overwrite(target.config(), parts=1)


# --- names -------------------------------------------------------------------------------------------

_FOREIGN = "restic writes no such name in its own directories"

HOSTILE_NAMES = (
    "data/00/\x01",
    "data/zz/x",
    "data/../config",
    "data//x",
    "data/ab/" + "AB" * 32,
    "data/00/" + "ff" * 32,
    "data/" + "ab" * 32,
    "index/" + "ab" * 31,
    "index/" + "ab" * 32 + "/x",
    "index/.versions/x",
    "snapshots/\ufffd",
    "snapshots/\ufffe",
    "snapshots/\x1b[2J",
    "snapshots/<script>alert(1)</script>",
    "keys/" + "k" * 900,
    "locks/ü",
    "locks/",
)
"""Names below a repository that restic never writes."""


@registers(16, "proof", _FOREIGN)
def hostile_names(target: Target) -> list[str]:
    return target.overwrite([target.repository.prefix + name for name in HOSTILE_NAMES], 10)


@registers(28, "proof", _FOREIGN)
def one_control_character(target: Target) -> list[str]:
    return target.overwrite([target.repository.prefix + "data/00/\x01"], 10)


@registers(16, "proof", _FOREIGN)
def foreign_name_written_and_removed(target: Target) -> list[str]:
    return target.delete(target.overwrite([target.repository.prefix + "index/readme.txt"], 10))


@registers(7, "nothing", "other data beside a repository is nobody's business")
def flood_beside_the_repository(target: Target) -> list[str]:
    return target.overwrite([f"{target.repository.prefix}junk/{number}" for number in range(200)], 10)


# --- versioning --------------------------------------------------------------------------------------


@registers(9, "proof", "a null version: versioning was suspended")
def overwrite_while_suspended(target: Target) -> list[str]:
    target.bucket.versioning = "suspended"
    done = target.overwrite(target.some("data", 2) + target.config())
    target.bucket.versioning = "enabled"
    return done


@registers(9, "proof", "a null marker: versioning was suspended")
def delete_while_suspended(target: Target) -> list[str]:
    target.bucket.versioning = "suspended"
    done = target.delete(target.some("data", 2))
    target.bucket.versioning = "enabled"
    return done


@registers(28, "proof", "a null version, written twice")
def null_version_written_twice(target: Target) -> list[str]:
    target.bucket.versioning = "suspended"
    done = target.overwrite(target.some("data"))
    target.overwrite(done)
    target.bucket.versioning = "enabled"
    return done


# --- state files -------------------------------------------------------------------------------------


@registers(5, "hint", "RWM writes a state file once and never puts a marker on it")
def delete_state_files(target: Target) -> list[str]:
    return target.delete(target.bucket.keys(f"{target.repository.prefix}rwm/states/"))


@registers(5, "hint", "a state file is named after its content, but it is compressed: its bytes may differ")
def overwrite_state_files(target: Target) -> list[str]:
    return target.overwrite(target.bucket.keys(f"{target.repository.prefix}rwm/states/"), 5000)


@registers(5, "nothing", "a state of the past with a valid name: its entries tell, the listing does not")
def forge_state_file(target: Target) -> list[str]:
    at = iso((target.bucket.now - 30 * DAY) // SECOND * SECOND)
    key = f"{target.repository.prefix}rwm/states/{at}-{target.random.getrandbits(256):064x}.jsonl.gz"
    return target.overwrite([key], 5000)


@registers(5, "proof", "a file that is written later says nothing of the locks of the past", restic_only=True)
def claim_states_beside_all_locks_and_delete_packs(target: Target) -> list[str]:
    root, bucket = target.repository.prefix, target.bucket
    locks = [entry for entry in bucket if entry.key.startswith(f"{root}locks/") and not entry.is_marker]
    for lock in locks:
        at = iso(lock.last_modified // SECOND * SECOND - SECOND)
        bucket.put(f"{root}rwm/states/{at}-{target.random.getrandbits(256):064x}.jsonl.gz", 5000)
        bucket.now += 5
    return target.delete(target.some("data", 3))
