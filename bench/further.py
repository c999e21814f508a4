"""One further state of a repository that has a year of them: what ``rwm state capture`` does once it has listed."""

from __future__ import annotations

import gc
from functools import partial
from itertools import islice

from bench.clock import cpu_of
from bench.pages import PAGE
from bench.simulated_repository import SimulatedRepository
from bench.year import Sink
from rwm.index import Index, ObservedEntries
from rwm.model import EntryBatch
from rwm.s3 import S3
from rwm.statefile import StateDigest, canonical_pieces, gzip_writer
from rwm.states.publish import publish_state


def record(index: Index, repository: SimulatedRepository, s3: S3) -> tuple[dict[str, float], float]:
    """Record the next day's state as a capture does.

    Returns seconds of CPU for each step, and those of writing a whole file, which only some states have.
    """
    repository.next_day()
    entries = repository.entries()
    batches = [EntryBatch.of(batch) for batch in iter(lambda: list(islice(entries, PAGE)), [])]
    gc.collect()
    gc.freeze()  # the list is ours: a capture has none
    steps: dict[str, float] = {}
    spool = index.capture_spool()
    try:
        _, steps["spooled"] = cpu_of(partial(spool.add, batches))
        assert spool.totals() == (repository.info.objects, repository.info.bytes)
        digest = StateDigest(repository.info)
        source = ObservedEntries(spool, digest.add)
        arrival, steps["id computed, compared"] = cpu_of(partial(index.prepare, repository.info, source))
        arrival.info = info = digest.close()
        stored, steps["copy in the bucket"] = cpu_of(partial(publish_state, s3, index, spool, arrival))
        _, steps["recorded"] = cpu_of(partial(arrival.record, "own", stored))

        def whole() -> None:
            with gzip_writer(Sink()) as file:
                for piece in canonical_pieces(info, spool.batches()):
                    file.write(piece)

        _, full = cpu_of(whole)
        return steps, full
    finally:
        spool.close()
        gc.unfreeze()
