"""An attacker with the machine's keys: what it can do, what it cannot, what is seen of it, and that all comes back."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rwm import process
from rwm.errors import AccessDenied, RwmError
from rwm.model import Entry, StateInfo
from rwm.s3 import S3
from rwm.statefile import file_key
from rwm.statefile.canonical import canonical_form, identified
from rwm.storage import create_storage
from rwm.times import SECOND
from rwm.trust.evidence import SLACK
from tests import repositories
from tests.contract.buckets import at_once, next_second, unique
from tests.e2e.cli import Shell
from tests.servers import Server

WRITE_ORDER = ("config", "keys", "locks", "data", "index", "snapshots")
PASSWORD = "correct-horse-battery-staple"
RWM = ("rwm", "-c", "admin.conf")

Files = Mapping[str, bytes]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The files of a repository with two backups of restic."""
    directory = tmp_path_factory.mktemp("repository")
    (directory / "data").mkdir()

    def restic(*words: str) -> None:
        argv = ["restic", "-q", "-r", str(directory / "repo"), "--no-cache", *words]
        done = process.run(argv, env={**os.environ, "RESTIC_PASSWORD": PASSWORD})
        assert done.returncode == 0, done.stderr

    repositories.create(directory / "repo", PASSWORD)
    for number in range(2):
        (directory / "data" / "file").write_bytes(random.Random(number).randbytes(50_000))
        restic("backup", str(directory / "data"))
    root = directory / "repo"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@dataclass
class Victim:
    """A protected bucket with a repository that the machine has written, and a good state of it."""

    server: Server
    bucket: str
    files: Files
    shell: Shell
    admin: S3
    user: S3
    good: str = ""

    def some(self, *kinds: str) -> list[str]:
        """The keys of these kinds."""
        return sorted(key for key in self.files if key.startswith(kinds))

    def name(self) -> str:
        """A name as restic gives, of a content that nobody has."""
        return hashlib.sha256(os.urandom(16)).hexdigest()

    def within_a_lock(self, act: Callable[[], None]) -> None:
        """Do it as restic does: between writing a lock and removing it."""
        lock = f"locks/{self.name()}"
        self.user.put(self.bucket, lock, bytes(140))
        act()
        self.user.delete(self.bucket, lock)

    def delete(self, *keys: str) -> None:
        at_once(partial(self.user.delete, self.bucket), keys)

    def overwrite(self, contents: Mapping[str, bytes]) -> None:
        at_once(lambda item: self.user.put(self.bucket, *item), contents.items())

    def junk(self, key: str) -> bytes:
        """Random bytes, as many as the file has."""
        return os.urandom(len(self.files[key]))

    def versions(self) -> list[tuple[str, str]]:
        return [(one.key, one.version_id) for one in self.admin.versions(self.bucket) if not one.is_marker]


def victim(server: Server, files: Files, directory: Path, *, object_lock: bool = False) -> Victim:
    """A bucket to attack, in which restic holds no lock any more; with ``object_lock`` versions can be locked."""
    directory.mkdir()
    bucket, admin, user = unique("victim"), server.connect(), server.connect("user1")
    if object_lock:
        admin.client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    create_storage(admin, bucket, "user1")
    found = Victim(server, bucket, files, Shell(directory, RESTIC_PASSWORD=PASSWORD), admin, user)
    found.shell.configure("admin.conf", server.endpoint, server.accounts["admin"])

    def upload() -> None:
        for key in sorted(files, key=lambda key: WRITE_ORDER.index(key.partition("/")[0])):
            user.put(bucket, key, files[key])

    found.within_a_lock(upload)
    return found


# --- attacks -------------------------------------------------------------------------------------------------


def hide_everything(on: Victim) -> None:
    on.delete(*on.files)


def overwrite_everything(on: Victim) -> None:
    on.overwrite(dict.fromkeys(on.files, b"encrypted"))


def overwrite_with_the_same_size(on: Victim) -> None:
    """Within a lock: a config that is written minutes after the last one would be a proof."""
    on.within_a_lock(lambda: on.overwrite({key: on.junk(key) for key in on.files}))


def overwrite_by_uploads_in_parts(on: Victim) -> None:
    """With ETags that no other can be compared with, and published where the server lets a machine do that."""
    is_published = on.server.name == "rgw"
    if not is_published:
        with pytest.raises(ClientError, match="AccessDenied"):
            on.user.client.create_multipart_upload(Bucket=on.bucket, Key="data/00/public", ACL="public-read")
    for key in on.some("data/", "index/"):
        upload: Any = {"Bucket": on.bucket, "Key": key}
        acl: Any = {"ACL": "public-read"} if is_published else {}
        upload["UploadId"] = on.user.client.create_multipart_upload(**upload, **acl)["UploadId"]
        part = on.user.client.upload_part(**upload, PartNumber=1, Body=on.junk(key))
        parts: Any = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        on.user.client.complete_multipart_upload(**upload, MultipartUpload=parts)


def truncate_config_and_keys(on: Victim) -> None:
    on.overwrite({key: on.files[key][:-20] for key in on.some("config", "keys/")})


def delete_one_pack(on: Victim) -> None:
    on.delete(on.some("data/")[0])


def delete_a_pack_and_put_it_back(on: Victim) -> None:
    key = on.some("data/")[0]
    on.delete(key)
    next_second(on.user, on.bucket)
    on.overwrite({key: on.files[key]})


def delete_indexes_within_a_lock(on: Victim) -> None:
    on.within_a_lock(lambda: on.delete(*on.some("index/")))


def write_config_as_a_migration(on: Victim) -> None:
    on.within_a_lock(lambda: on.overwrite({"config": on.junk("config")}))


def push_out_snapshots(on: Victim) -> None:
    """Many false snapshots, so that a retention by number drops the true ones; then that is done."""

    def act() -> None:
        on.overwrite({f"snapshots/{on.name()}": bytes(250) for _ in range(15)})
        on.delete(*on.some("snapshots/"))

    on.within_a_lock(act)


def forge_states(on: Victim) -> None:
    """A false state of now with half of the files, and the true ones hidden."""
    on.overwrite(dict.fromkeys(on.some("data/"), b"junk"))
    on.delete(*{version.key for batch in on.admin.version_batches(on.bucket, "rwm/states/") for version in batch})
    now, keys = next_second(on.user, on.bucket), on.some("config", "keys/")
    entries = [Entry(key, "no-version", len(on.files[key]), "0" * 32, now - SECOND) for key in keys]
    info = StateInfo("", on.bucket, now, "backup", 2, sum(entry.size for entry in entries), "ok")
    info = identified(info, entries)
    on.overwrite({file_key(info): gzip.compress(b"".join(canonical_form(info, entries)))})


def write_hostile_names(on: Victim) -> None:
    names = ("data/00/\x01", "index/\x1b[2J", "snapshots/<script>alert(1)</script>", "keys/" + "k" * 900, "data/a/b/c")
    on.overwrite(dict.fromkeys(names, b"hostile") | {"data/00/" + "00" * 32: b""})


def flood_one_key(on: Victim) -> None:
    """Many versions and markers of a key, so that its genuine version is far away."""
    (key, *_) = on.some("keys/")
    for _ in range(2):
        at_once(lambda _: on.user.put(on.bucket, key, b"flood"), range(100), 16)
        on.delete(*[key] * 100)


def flood_with_markers(on: Victim) -> None:
    """50,000 markers of keys that never were, in one directory."""

    def mark(start: int) -> None:
        objects: Any = [{"Key": f"data/ff/ff{number:062x}"} for number in range(start, start + 250)]
        done = on.user.client.delete_objects(Bucket=on.bucket, Delete={"Objects": objects})
        assert len(done["Deleted"]) == 250

    hide_everything(on)
    at_once(mark, range(0, 50_000, 250), 16)


def lock_junk_for_decades(on: Victim) -> None:
    """Junk that nobody may delete for long, where the server lets the machine lock what it writes.

    Ceph RGW 16.2 keeps 32 bits of the time: a lock that ends after 2106 has ended long ago.
    """
    until = datetime.now(UTC) + timedelta(days=25_000)
    keys, locks = on.some("data/", "index/"), {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
    if on.server.name == "rgw":
        for key in keys:
            on.user.client.put_object(Bucket=on.bucket, Key=key, Body=b"junk", **locks)  # type: ignore[arg-type]
    else:
        with pytest.raises(ClientError, match="AccessDenied"):
            on.user.client.put_object(Bucket=on.bucket, Key=keys[0], Body=b"junk", **locks)  # type: ignore[arg-type]
        on.overwrite(dict.fromkeys(keys, b"junk"))
    retention: Any = {"Mode": "COMPLIANCE", "RetainUntilDate": until}
    with pytest.raises(ClientError, match="AccessDenied"):
        on.user.client.put_object_retention(Bucket=on.bucket, Key=on.some("keys/")[0], Retention=retention)


def while_versioning_is_suspended(on: Victim) -> None:
    """Somebody with the admin's keys has suspended it for a while."""
    on.admin.client.put_bucket_versioning(Bucket=on.bucket, VersioningConfiguration={"Status": "Suspended"})
    next_second(on.user, on.bucket)
    on.overwrite(dict.fromkeys(on.some("config", "index/"), b"null"))
    on.delete(on.some("data/")[0])
    next_second(on.user, on.bucket)
    on.admin.enable_versioning(on.bucket)


def copy_with_own_key(on: Victim) -> None:
    """Each object onto itself, encrypted with a key of the attacker: the policy denies it, then junk is written."""
    for key in on.some("data/"):
        where: Any = {"Bucket": on.bucket, "Key": key, "CopySource": {"Bucket": on.bucket, "Key": key}}
        ransom: Any = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
        with pytest.raises(ClientError, match=r"AccessDenied|InvalidRequest"):
            on.user.client.copy_object(**where, MetadataDirective="REPLACE", **ransom)
    overwrite_with_the_same_size(on)


ATTACKS: dict[Callable[[Victim], None], tuple[str, ...]] = {
    hide_everything: ("removed-config", "all-keys-removed", "unlocked-removal"),
    overwrite_everything: ("other-content", "rewritten-config"),
    overwrite_with_the_same_size: ("written-twice", "migrated-config"),
    overwrite_by_uploads_in_parts: ("written-twice",),
    truncate_config_and_keys: ("other-content", "rewritten-config"),
    delete_one_pack: ("unlocked-removal",),
    delete_a_pack_and_put_it_back: ("unlocked-removal",),
    delete_indexes_within_a_lock: ("last-index-removed",),
    write_config_as_a_migration: ("migrated-config",),
    push_out_snapshots: ("snapshot-burst",),
    forge_states: ("other-content", "removed-state-file"),
    write_hostile_names: ("foreign-name", "impossible-content"),
    flood_one_key: ("other-content", "unlocked-removal"),
    flood_with_markers: ("removed-config", "unlocked-removal"),
    lock_junk_for_decades: ("other-content",),
    while_versioning_is_suspended: ("versioning-suspended",),
    copy_with_own_key: ("written-twice",),
}
"""Each attack with what the audit says of it, beside other findings."""

ON_RGW: dict[Callable[[Victim], None], tuple[str, ...]] = {
    lock_junk_for_decades: ("foreign-lock",),
    overwrite_by_uploads_in_parts: ("published-object",),
}
"""What the audit says besides, where the server lets a machine do more."""

HINTS_ONLY = (
    overwrite_with_the_same_size,
    overwrite_by_uploads_in_parts,
    write_config_as_a_migration,
    push_out_snapshots,
    copy_with_own_key,
)
"""Restic, a migration, or an upload that is repeated to a server with its own keys (SSE-KMS) could have done them."""

ALL_IS_BACK = (delete_a_pack_and_put_it_back,)
"""The newest state is clean again, and a prune keeps it."""


@pytest.fixture(scope="module")
def victims(
    request: pytest.FixtureRequest, files: Files, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Victim]:
    """A bucket for each attack, by server and name; those of a server are made together, to wait once."""
    made: dict[tuple[str, str], Victim] = {}

    def of(name: str, attack: str) -> Victim:
        if (name, attack) not in made:
            server = request.getfixturevalue(name)
            directory = tmp_path_factory.mktemp("victims")
            for each in sorted({attack, *selected_attacks(request.session, name)}):
                object_lock = each == lock_junk_for_decades.__name__
                made[name, each] = victim(server, files, directory / each, object_lock=object_lock)
            time.sleep(2 * SLACK / 1000)  # the last lock covers nothing any more
        return made[name, attack]

    return of


def selected_attacks(session: pytest.Session, server: str) -> Iterator[str]:
    """The names of the attacks on a server that this run tries."""
    functions = [item for item in session.items if isinstance(item, pytest.Function)]
    for item in functions:
        spec = getattr(item, "callspec", None)
        if item.function.__name__ == test_an_attack.__name__ and spec and spec.params["server_name"] == server:
            yield spec.params["attack"].__name__


QUICK = (overwrite_everything, delete_one_pack, forge_states, while_versioning_is_suspended)
"""The attacks of `make test`; the others are in `make test-all`."""


def cases() -> list[Any]:
    """Each attack on both servers; a quick one in `make test` on one of them in turn."""
    found = []
    for number, attack in enumerate(ATTACKS):
        for place, server in enumerate(["seaweedfs", "rgw"][:: 1 if number % 2 else -1]):
            is_slow = attack not in QUICK or place > 0
            marks = [pytest.mark.xdist_group(f"attacker-{server}"), *[pytest.mark.slow] * is_slow]
            found.append(pytest.param(attack, server, id=f"{attack.__name__}-{server}", marks=marks))
    # What might be an upload that is repeated comes first: it is no hint any more a quarter of an hour later.
    return sorted(found, key=lambda case: case.values[0] not in HINTS_ONLY)


@pytest.mark.parametrize(("attack", "server_name"), cases())
def test_an_attack(
    victims: Callable[[str, str], Victim], attack: Callable[[Victim], None], server_name: str, files: Files
) -> None:
    on = victims(server_name, attack.__name__)
    shell = on.shell
    on.good = shell.json(*RWM, "state", "capture", on.bucket)["id"]
    next_second(on.user, on.bucket)
    kept = on.versions()

    attack(on)
    check_that_nothing_can_be_destroyed(on, kept)
    next_second(on.user, on.bucket)
    check_that_the_audit_tells(on, attack)
    shell(*RWM, "state", "capture", on.bucket, code=None)
    code = 0 if attack in ALL_IS_BACK else 5
    said = shell(*RWM, "prune", on.bucket, "--keep-last", "1", "--yes", code=code).stderr
    assert ("refused: " in said) == (code == 5) and "Traceback" not in said
    shell(*RWM, "prune", on.bucket, "--keep-last", "1", "--yes", "--force", code=None)  # a person in a hurry
    check_that_every_byte_comes_back(on, files)


def test_a_machine_reaches_nothing_of_another_one(server: Server, files: Files, tmp_path: Path) -> None:
    """In a bucket of several machines: not by any request of restic, and a recovery of the other one is as before."""
    bucket, admin, shell = unique("shared"), server.connect(), Shell(tmp_path, RESTIC_PASSWORD=PASSWORD)
    create_storage(admin, bucket, "user1:host1/", "user2:host2/")
    shell.configure("admin.conf", server.endpoint, server.accounts["admin"])
    victim, attacker = server.connect("user1"), server.connect("user2")
    for key, content in files.items():
        victim.put(bucket, f"host1/{key}", content)
    next_second(admin, bucket)
    good = shell.json(*RWM, "state", "capture", f"{bucket}/host1")["id"]
    before = [(one.key, one.version_id) for one in admin.versions(bucket, "host1/")]
    own = f"host2/rwm/states/../../host1/{next(iter(files))}"
    for request in (
        lambda: attacker.put(bucket, "host1/config", b"junk"),
        lambda: attacker.put(bucket, f"host1/data/00/{'00' * 32}", b"junk"),
        lambda: attacker.put(bucket, "rwm/states/forged", b"junk"),
        lambda: attacker.put(bucket, "config", b"junk"),
        lambda: attacker.delete(bucket, "host1/config"),
        lambda: attacker.get(bucket, "host1/config"),
        lambda: list(attacker.versions(bucket, "host1/")),
        lambda: attacker.client.copy_object(Bucket=bucket, Key="host2/x", CopySource=f"{bucket}/host1/config"),
    ):
        with pytest.raises((AccessDenied, ClientError), match=r"[Aa]ccess ?[Dd]enied|AccessDenied"):
            request()
    with suppress(RwmError):  # a name with dots: refused, or a key below the attacker's own prefix
        attacker.put(bucket, own, b"junk")
    assert [(one.key, one.version_id) for one in admin.versions(bucket, "host1/")] == before
    found = shell.json(*RWM, "audit", f"{bucket}/host1")
    assert (found["last_clean"], found["findings"]) == (good, [])


def check_that_nothing_can_be_destroyed(on: Victim, kept: list[tuple[str, str]]) -> None:
    """The machine's keys remove no version and change no setting."""
    assert {failure.code for failure in on.user.delete_versions(on.bucket, kept)} == {"AccessDenied"}
    assert {*kept} <= {*on.versions()}
    for change in (on.user.enable_versioning, lambda bucket: on.user.put_policy(bucket, {}), on.user.delete_bucket):
        with pytest.raises(AccessDenied):
            change(on.bucket)


def check_that_the_audit_tells(on: Victim, attack: Callable[[Victim], None]) -> None:
    """What was done, and that the state from before is clean."""
    found = on.shell.json(*RWM, "audit", on.bucket, code=0 if attack in HINTS_ONLY else 4)
    assert {*ATTACKS[attack]} <= found["counts"].keys()
    if on.server.name == "rgw":
        assert {*ON_RGW.get(attack, ())} <= found["counts"].keys()
    levels = {finding["level"] for finding in found["findings"]}
    assert ("proof" in levels) != (attack in HINTS_ONLY)
    assert (found["last_clean"], {one["id"]: one["verdict"] for one in found["states"]}) == (
        on.good,
        {on.good: "clean"},
    )


def check_that_every_byte_comes_back(on: Victim, files: Files) -> None:
    """A recovery on an empty computer downloads the repository as it was."""
    (on.shell.directory / "index").rename(on.shell.directory / "gone")
    recovered = on.shell.directory / "recovered"
    on.shell(*RWM, "recover", on.bucket, "--to-dir", recovered, code=None)
    assert {str(path.relative_to(recovered)): path.read_bytes() for path in recovered.rglob("*") if path.is_file()} == {
        **files
    }
