"""Record the corpus: run restic on real servers and write the version listing of each bucket.

    python -m tests.histories.record [--server rgw|seaweedfs] [--scenario NAME] [--restic restic-debian|restic-current]

Without options everything is recorded again: both restics of :mod:`tests.restics` on both servers, about 20 minutes,
most of them spent waiting for lock refreshes. Each file of ``tests/histories/corpus/`` is one bucket; its format is
described in :mod:`tests.histories.corpus`. restic's requests pass through ``bench.proxy``, which tells their order
(SeaweedFS lists whole seconds) and interrupts them at exact points: a request that is stalled has reached the server.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rwm import process
from tests import restics, servers
from tests.histories.corpus import Recording, write_recording
from tests.histories.recorder import Recorder
from tests.histories.scenarios import LONG, SCENARIOS
from tests.servers import Server


def record(server: Server, restic: str, scenario: str) -> Recording:
    """Run a scenario in a new bucket."""
    directory = Path(tempfile.mkdtemp(prefix="rwm-record-"))
    recorder = Recorder(server, restic, scenario, directory)
    try:
        SCENARIOS[scenario](recorder)
        return recorder.recording(server_version(server.name))
    except BaseException:
        print((directory / "log").read_text(errors="replace")[-3000:])
        raise
    finally:
        recorder.close()
        shutil.rmtree(directory, ignore_errors=True)


def server_version(name: str) -> str:
    """What the server's program says that it is."""
    command = ["radosgw", "--version"] if name == "rgw" else [process.find_beside_python("weed") or "weed", "version"]
    said = process.run(command, env=os.environ)
    found = re.search(r"\d+\.\d+(\.\d+)?", said.stdout + said.stderr)
    return found[0] if found else "unknown"


def main() -> None:
    """Record what the command line selects."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=["rgw", "seaweedfs"], action="append")
    parser.add_argument("--scenario", choices=list(SCENARIOS), action="append")
    parser.add_argument("--restic", choices=list(restics.PROGRAMS), action="append")
    chosen = parser.parse_args()
    programs = [restics.program(name) for name in chosen.restic or restics.PROGRAMS]
    for name in chosen.server or ["rgw", "seaweedfs"]:
        with getattr(servers, name)() as server:
            scenarios = chosen.scenario or list(SCENARIOS)
            waiting = [(restic, scenario) for restic in programs for scenario in scenarios if scenario in LONG]
            with ThreadPoolExecutor(max(1, len(waiting))) as pool:
                background = [pool.submit(record, server, *each) for each in waiting]
                for scenario in scenarios:
                    for restic in programs if scenario not in LONG else []:
                        print("recorded", write_recording(record(server, restic, scenario)), flush=True)
                for done in background:
                    print("recorded", write_recording(done.result()), flush=True)


if __name__ == "__main__":
    main()
