"""A capture in a process of its own: ``python -m bench.captured URL INDEX`` prints what it took as JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from bench import processes
from bench.page_server import BUCKET, KEYS
from rwm.config import Credentials, S3Settings
from rwm.index import Index
from rwm.location import Location
from rwm.s3 import S3, connect
from rwm.states.capture import capture_state


class Watched(S3):
    """Notes the CPU time at which the state's file goes to the bucket."""

    uploaded: float

    def upload(self, bucket: str, key: str, path: Path) -> None:
        """Write a file, with a note before."""
        self.uploaded = time.process_time()
        super().upload(bucket, key, path)


def main(url: str, index_path: str) -> None:
    """Capture the bucket, print seconds of CPU for each phase and the peak of the memory."""
    plain = connect(S3Settings(url, Credentials(*KEYS)))
    s3 = Watched(plain.settings, plain.client)
    listed = 0.0

    def progress(*_: int) -> None:
        nonlocal listed
        listed = time.process_time()

    wall, begun = time.perf_counter(), time.process_time()
    with Index.open(Path(index_path)) as index:
        info = capture_state(s3, index, Location(BUCKET), concurrency=1, progress=progress)
    ended = time.process_time()
    peak = processes.memory()[1]
    phases = {"listed": listed - begun, "identified": s3.uploaded - listed, "recorded": ended - s3.uploaded}
    wall = time.perf_counter() - wall
    print(json.dumps({"objects": info.objects, "peak": peak, "wall": wall, "cpu": ended - begun, **phases}))


if __name__ == "__main__":
    main(*sys.argv[1:])
