"""``make bench``: run all measurements, or those named: ``make bench ARGS="listing restore"``."""

from __future__ import annotations

import sys

from bench import listing, restore

PARTS = {"listing": listing.main, "restore": restore.main}


def main(names: list[str]) -> int:
    """Run the parts; an unknown name is an error."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"bench: no part is called {', '.join(unknown)}; there are: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    for name in names or PARTS:
        PARTS[name]()
    return 0


sys.exit(main(sys.argv[1:]))
