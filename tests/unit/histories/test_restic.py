"""Simulated operations have the order of recorded ones, for both restics on both servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.histories.bucket import Bucket
from tests.histories.corpus import Recording, load_attacked, load_corpus
from tests.histories.restic import CONFIG_SIZE, REFRESH, Repository, Version
from tests.histories.steps import Operation, Start, order, run, run_together

CORPUS = load_corpus()

READING = (
    "snapshots", "check", "check --read-data", "stats", "find", "key list", "list packs", "cat config", "dump",
    "restore", "forget --dry-run", "prune --dry-run", "diff", "mount", "copy again", "forget nothing", "prune nothing",
)  # fmt: skip

WITHOUT_TRACE = (
    "list locks", "backup --dry-run", "snapshots --no-lock", "init again", "prune while locked", "check while locked",
    "forget while locked",
)  # fmt: skip

SIMULATED: dict[str, list[Callable[[Repository], Operation]]] = {
    "init": [lambda r: r.init()],
    "backup": [lambda r: r.backup(3)],
    "backup unchanged": [lambda r: r.backup(0), lambda r: r.backup(1)],
    "backup --time": [lambda r: r.backup(0), lambda r: r.backup(1)],
    "ls": [lambda r: r.read()],
    "tag": [lambda r: r.tag()],
    "rewrite": [lambda r: r.rewrite()],
    "rewrite --forget": [lambda r: r.rewrite(forget=True)],
    "repair snapshots": [lambda r: r.read()],
    "rebuild-index": [lambda r: r.rebuild_index()],
    "rebuild-index --read-all-packs": [lambda r: r.rebuild_index()],
    "rebuild-index after a loss": [lambda r: r.rebuild_index()],
    "key add": [lambda r: r.key_add()],
    "key remove": [lambda r: r.key_remove()],
    "key passwd": [lambda r: r.key_passwd()],
    "forget": [lambda r: r.forget(1)],
    "forget all": [lambda r: r.forget(0)],
    "prune": [lambda r: r.prune(repack=0), lambda r: r.prune(repack=1)],
    "prune all": [lambda r: r.prune(repack=0)],
    "prune --repack-uncompressed": [lambda r: r.prune(repack=3)],
    "forget --prune": [
        lambda r: r.forget_prune(1, repack=0),
        lambda r: r.forget_prune(1, repack=1),
        lambda r: r.forget_prune(9),
    ],
    "migrate": [lambda r: r.migrate()],
    "copy": [lambda r: r.copy_into()],
    "recover": [lambda r: r.recover(), lambda r: r.recover(repairs_index=True)],
    "repair packs": [lambda r: r.repair_packs()],
    **{name: [lambda r: r.read()] for name in READING},
}
"""Recorded operation → the simulated ones of which one must have its order."""


def repository(version: Version, *, snapshots: int = 3, orphans: bool = False) -> Repository:
    """A repository with snapshots, two keys, and packs that no index names."""
    made = Repository(Bucket(), "", 1, version)
    for operation in [made.init(), made.key_add(), *(made.backup(4) for _ in range(snapshots))]:
        run(made.bucket, operation)
    if orphans:
        run(made.bucket, made.backup(4), killed_after=3)
        run(made.bucket, made.unlock())
    return made


def simulated_orders(name: str, version: Version) -> set[str]:
    found = set()
    for make in SIMULATED[name]:
        for orphans in (False, True):
            made = repository(version, orphans=orphans)
            if name in ("prune", "prune --repack-uncompressed"):
                run(made.bucket, made.forget(1))
            if name == "prune all":
                run(made.bucket, made.forget(0))
            if name == "init":
                made = Repository(Bucket(), "", 1, version)
            found.add(order(step.token for step in run(made.bucket, make(made))))
    return found


def version_of(recording: Recording) -> Version:
    return "0.14" if recording.restic.startswith("0.14") else "0.18"


def recorded_orders(name: str, version: Version) -> Iterator[tuple[Recording, str]]:
    for recording in CORPUS:
        if version_of(recording) == version:
            for operation, events in recording.operations_named(name):
                if operation.code is not None:
                    yield recording, order(event.token for event in events)


def test_the_corpus_is_complete() -> None:
    assert {(r.scenario, r.server, version_of(r)) for r in CORPUS + load_attacked()} == {
        (scenario, server, version)
        for scenario in ("life", "interrupted", "concurrent", "prefixes", "attacked", "refresh", "unlocked", "slept")
        for server in ("rgw", "seaweedfs")
        for version in ("0.14", "0.18")
    }


@pytest.mark.parametrize("version", ["0.14", "0.18"])
@pytest.mark.parametrize("name", list(SIMULATED))
def test_an_operation_has_the_recorded_order(name: str, version: Version) -> None:
    known = simulated_orders(name, version)
    recorded = list(recorded_orders(name, version))
    needs_newer = name.startswith(("rewrite", "repair"))
    assert recorded or (version == "0.14" and needs_newer)
    for recording, events in recorded:
        if not (events == "" and (name, version) == ("ls", "0.14")):  # the only one that differs: ls reads without lock
            assert events in known, recording.name


@pytest.mark.parametrize("version", ["0.14", "0.18"])
@pytest.mark.parametrize("name", WITHOUT_TRACE)
def test_an_operation_leaves_no_trace(name: str, version: Version) -> None:
    recorded = list(recorded_orders(name, version))
    assert recorded
    assert {events for _, events in recorded} == {""}


@pytest.mark.parametrize("recording", [r for r in CORPUS if r.scenario == "interrupted"], ids=lambda r: r.name)
def test_a_killed_operation_is_the_beginning_of_a_whole_one(recording: Recording) -> None:
    version = version_of(recording)
    killed = [(o, n) for n, o in enumerate(recording.operations) if " killed at " in o.name]
    assert len(killed) == 11
    for operation, number in killed:
        whole = simulated_orders(operation.name.partition(" killed")[0], version)
        events = order(event.token for event in recording.events(number))
        assert any(one.startswith(events) for one in whole), (operation.name, events)


@pytest.mark.parametrize("recording", [r for r in CORPUS if r.scenario == "interrupted"], ids=lambda r: r.name)
def test_a_repeated_request_makes_an_equal_version(recording: Recording) -> None:
    by_key: dict[str, set[tuple[int, str]]] = {}
    for version in recording.versions:
        if not version.is_marker:
            by_key.setdefault(version.key, set()).add((version.size, version.etag))
    written = [version.key for version in recording.versions if not version.is_marker]
    repeated = {key for key in written if written.count(key) > 1}
    assert {key.partition("/")[0] for key in repeated} == {"data", "index", "snapshots", "locks"}
    assert all(len(by_key[key]) == 1 for key in repeated)


@pytest.mark.parametrize("recording", [r for r in CORPUS if r.scenario == "refresh"], ids=lambda r: r.name)
def test_a_lock_is_refreshed(recording: Recording) -> None:
    [(_, events)] = recording.operations_named("backup with a lock refresh")
    made = repository(version_of(recording))
    steps = run(made.bucket, made.backup(1, duration=REFRESH + 30_000))
    recorded = order(event.token for event in events)
    assert recorded == "+locks -locks +data +index +snapshots -locks"
    assert order(step.token for step in steps).startswith("+locks -locks")
    locks = [event.version for event in events if event.token == "+locks"]
    assert REFRESH <= locks[1].last_modified - locks[0].last_modified < REFRESH + 5000


@pytest.mark.parametrize("recording", [r for r in CORPUS if r.scenario == "unlocked"], ids=lambda r: r.name)
def test_an_operation_whose_lock_was_removed_writes_a_new_one(recording: Recording) -> None:
    [(operation, events)] = recording.operations_named("backup whose lock is removed before a refresh")
    assert operation.code == 0
    assert next(event.token for event in events if "lock" in event.token) == "+locks"


def test_an_operation_goes_on_without_its_lock() -> None:
    for recording in CORPUS:
        for operation, events in recording.operations_named("forget --prune beside unlock --remove-all (last part)"):
            assert operation.code == 0
            tail = order(event.token for event in events)
            assert "-index -data" in tail
            assert tail.endswith("-locks") == (recording.server == "seaweedfs")
    for repeats_markers in (False, True):
        made = repository("0.14")
        made.bucket.repeats_markers = repeats_markers
        at = made.bucket.now
        starts = [Start(at, made.forget_prune(1)), Start(at + 270, made.unlock(remove_all=True))]
        run_together(made.bucket, starts)
        locks = [version for version in made.bucket if version.key.startswith("locks/")]
        ended = min(version.last_modified for version in locks[-3:] if version.is_marker)
        removed = [v for v in made.bucket if v.key.startswith("data/") and v.is_marker]
        assert removed
        assert all(version.last_modified > ended for version in removed)


def test_sizes_are_those_of_real_files() -> None:
    ranges = {"config": (CONFIG_SIZE, CONFIG_SIZE), "keys": (438, 449), "locks": (130, 150), "snapshots": (150, 1000)}
    for recording in CORPUS:
        for version in recording.versions:
            kind = next((kind for kind in ranges if kind in version.key.split("/")), None)
            if kind and not version.is_marker:
                assert ranges[kind][0] <= version.size <= ranges[kind][1], (recording.name, version)


def test_operations_that_exclude_each_other_do() -> None:
    made = repository("0.18")
    at = made.bucket.now
    steps = run_together(made.bucket, [Start(at, made.prune()), Start(at + 5000, made.backup(2))])
    assert order(s.token for s in steps) != ""
    starts = [Start(at, made.backup(3, duration=60_000)), Start(at + 10_000, made.forget_prune(1))]
    done = run_together(made.bucket, starts)
    assert "-snapshots" not in {step.token for step in done}
