"""A mount of all states against a model, a dictionary of its paths and contents."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rwm.index import Index
from rwm.location import Location
from rwm.model import Entry, StateInfo
from rwm.names import hidden_keys
from rwm.times import iso
from rwmfs.fuse.operations import Operations
from rwmfs.tree.all_states import AllStates
from rwmfs.tree.inodes import InodeTree
from rwmfs.tree.locks_dir import LocksDirs
from tests.unit.fakes import fake_reader
from tests.unit.kernel import Kernel
from tests.unit.states import BUCKET, mounted_paths, state

KEYS = ["config", "a", "a/b", "a/c/d", "a/..", "x//y\n", "locks", "locks/z", "ids/latest", "é\n"]
KEYS += ["r/config", "r/keys/k", "r/data/d", "r/locks/l"]
Contents = dict[str, str]


class Bucket:
    """An ObjectReader where the content of a version names its key and version."""

    bucket = BUCKET

    def read_range(
        self,
        key: str,
        version_id: str,
        start: int,
        stop: int,
        wanted: Callable[[], bool] = lambda: True,
        etag: str = "",
    ) -> bytes:
        return content(key, version_id)[start:stop]


def content(key: str, version: str) -> bytes:
    return f"{key} {version}".encode()


class Model:
    """States by (second, place within the second), with their contents."""

    def __init__(self) -> None:
        self.states: dict[tuple[int, int], tuple[StateInfo, Contents]] = {}

    def put(self, info: StateInfo, second: int, contents: Contents) -> None:
        if info not in [known for known, _ in self.states.values()]:
            free = next(place for place in range(1000) if (second, place) not in self.states)
            self.states[second, free] = info, contents

    def forget(self, number: int) -> StateInfo | None:
        if number >= len(self.states):
            return None
        return self.states.pop(sorted(self.states)[number])[0]

    def paths(self) -> dict[str, bytes | str | None]:
        """The expected result of :meth:`Kernel.read_tree`."""
        found: dict[str, bytes | str | None] = dict.fromkeys((".rwm", ".rwm/hidden", "ids", "times"))
        for (second, place), (info, contents) in sorted(self.states.items()):
            time = iso(second * 1000) + (f"-{info.id[:12]}" if place else "")
            found[f"times/{time}"] = f"-> ../ids/{info.id}"
            found["latest"] = f"-> ids/{info.id}"
            hidden = sorted(key.replace("\n", "\\n") for key in hidden_keys(contents))
            found[f".rwm/hidden/{info.id}"] = "".join(f"{key}\n" for key in hidden).encode()
            files, directories = mounted_paths(contents)
            found |= dict.fromkeys([f"ids/{info.id}", *(f"ids/{info.id}/{path}" for path in directories)])
            found |= {f"ids/{info.id}/{key}": content(key, contents[key]) for key in files}
        return found


Step = tuple[int, Contents] | int
steps = st.lists(
    st.one_of(
        st.tuples(st.integers(1, 3), st.dictionaries(st.sampled_from(KEYS), st.sampled_from("12"))),
        st.integers(0, 4),
    ),
    max_size=8,
)


BEFORE = {"config": "2", "a/c/d": "2"}


@settings(max_examples=40, deadline=None)
@example(steps=[(1, BEFORE), 0, (1, {}), (1, BEFORE)], small=False).via("a state recorded again at another moment")
@given(steps, st.booleans())
def test_the_mount_shows_exactly_the_recorded_states(steps: list[Step], small: bool) -> None:
    """States are recorded and forgotten while they are mounted; a number in ``steps`` is a state to forget."""

    async def run(directory: Path, patch: pytest.MonkeyPatch) -> None:
        if small:
            patch.setattr("rwmfs.tree.all_states.CACHED_TREES", 1)
        with Index.open(directory / "index") as writer, Index.open(directory / "index", readonly=True) as index:
            async with trio.open_nursery() as nursery:
                reader = fake_reader(Bucket(), nursery)
                tree = InodeTree(AllStates(index, Location(BUCKET), refresh_interval=0))
                kernel, model = Kernel(Operations(tree, LocksDirs(), reader), patch), Model()
                for step in steps:
                    if isinstance(step, int):
                        if info := model.forget(step):
                            writer.forget([info])
                    else:
                        second, contents = step
                        entries = [Entry(key, v, len(content(key, v)), "e", 1000) for key, v in contents.items()]
                        info = state(second, sorted(entries))
                        writer.record(info, sorted(entries))
                        model.put(info, second, contents)
                    assert await kernel.read_tree() == model.paths()

    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        trio.run(run, Path(directory), patch)
