"""What a prune reads before it relies on a state."""

from __future__ import annotations

import pytest

from rwm.errors import Unreachable
from rwm.model import Entry
from rwm.prune.sample import FileSample, read_sample
from rwm.trust import Kind
from tests.unit.memory import MemoryS3
from tests.unit.rwm.verify.verify_setup import named

BUCKET = "bucket1"


def put(s3: MemoryS3, key: str, content: bytes) -> Entry:
    return Entry(key, s3.put(BUCKET, key, content), len(content), "", 0)


def test_one_file_of_each_kind_is_chosen() -> None:
    sample = FileSample()
    for number in range(50):
        for kind in Kind:
            sample.add(kind, Entry(f"{kind}/{number}", "v", 1, "", 0))
    kinds = [entry.key.partition("/")[0] for entry in sample.entries()]
    assert sorted(kinds) == ["config", "data", "index", "keys", "snapshots"]


def test_any_file_may_be_chosen() -> None:
    chosen = set()
    for _ in range(100):
        sample = FileSample()
        for number in range(3):
            sample.add(Kind.DATA, Entry(f"{number}", "v", 1, "", 0))
        chosen |= {entry.key for entry in sample.entries()}
    assert chosen == {"0", "1", "2"}


def test_wrong_missing_and_denied_files_are_named() -> None:
    s3 = MemoryS3(BUCKET)
    config, right = put(s3, "config", b"c"), put(s3, named("data", b"right"), b"right")
    assert read_sample(s3, BUCKET, [config, right]) == {}
    wrong = put(s3, named("index", b"index"), b"other")
    missing = right._replace(version_id="gone")
    denied = put(s3, named("keys", b"key"), b"key")
    short = config._replace(size=2)
    s3.denied.add(denied.key)
    faults = read_sample(s3, BUCKET, [right, wrong, missing, denied, short])
    assert list(faults) == [wrong, missing, denied, short]
    texts = {entry: fault.text for entry, fault in faults.items()}
    assert all(entry.key in text and "cannot be used: " in text for entry, text in texts.items())
    assert "SHA-256" in texts[wrong] and "AccessDenied" in texts[denied] and "1 bytes, not 2" in texts[short]
    assert [fault.is_denied for fault in faults.values()] == [False, False, True, False]


def test_a_server_that_does_not_answer_ends_the_prune() -> None:
    class Silent(MemoryS3):
        def stream(self, bucket: str, key: str, version_id: str | None = None) -> None:  # type: ignore[override]
            raise Unreachable("no answer")

    with pytest.raises(Unreachable):
        read_sample(Silent(BUCKET), BUCKET, [Entry("config", "v", 1, "", 0)])
