"""A mount of all states whose latest one the attacker has encrypted with a key of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from rwm.layout import CONFIG_FILE
from rwmfs.mount.mountpoint import mounted_at
from tests.mount.test_command import Place
from tests.servers import Server


@pytest.fixture
def place(seaweedfs: Server, tmp_path: Path) -> Place:
    return Place(seaweedfs, tmp_path)


def test_earlier_states_are_shown(place: Place) -> None:
    place.put({CONFIG_FILE: b"genuine"})
    genuine = place.capture()
    place.s3.client.copy_object(
        Bucket=place.bucket,
        Key=CONFIG_FILE,
        CopySource={"Bucket": place.bucket, "Key": CONFIG_FILE},
        SSECustomerAlgorithm="AES256",
        SSECustomerKey="a" * 32,
    )
    ransom = place.capture()
    done = place.shell("rwmfs", "mount", place.bucket, "mnt")
    assert f"warning: the latest state ({ransom[:12]}) cannot be read, earlier ones can: " in done.stderr
    assert (place.mountpoint / "ids" / genuine / CONFIG_FILE).read_bytes() == b"genuine"
    with pytest.raises(OSError, match="Input/output error"):
        (place.mountpoint / "latest" / CONFIG_FILE).read_bytes()
    place.shell("rwmfs", "umount", "mnt")
    place.shell("rwmfs", "mount", place.bucket, "mnt", "--at", "latest", code=1)
    assert mounted_at(place.mountpoint) is None
