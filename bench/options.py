"""How large the measurements are: the defaults are what claims are made from, ``--small`` is for trying them out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

SMALL = {"objects": 20_000, "days": 10, "rounds": 1, "versions": 5_000, "real": 500, "size": 60}


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes of one run.

    ``objects`` in a large state, ``days`` with a state each, ``rounds`` of what is repeated, ``versions`` listed from
    prepared pages, ``real`` objects listed from a real server, ``delay`` seconds before each page where waiting for
    a server is the subject. Files of ``size`` MiB are restored; ``slow_rounds`` are those over a slow link; a soak has
    a mount in use for so many ``minutes``.
    """

    objects: int = 1_000_000
    days: int = 365
    rounds: int = 3
    versions: int = 50_000
    real: int = 20_000
    delay: float = 0.05
    size: int = 1000
    slow_rounds: int = 1
    minutes: float = 10.0


def parse(arguments: Sequence[str], usual: Sequence[str], named: Sequence[str] = ()) -> tuple[list[str], Options]:
    """(parts to run in their order, sizes). Those in ``named`` run only when they are asked for.

    Exits with 2 on what is not understood, with 0 after ``--help``.
    """
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measurements beside named peers, in one run.")
    parts = [*usual, *named]
    only = f"; only if named: {', '.join(named)}" if named else ""
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"which ones (default: {', '.join(usual)}{only})")
    given = Options()
    rounds = f"{given.rounds}, and {given.slow_rounds} over a slow link"
    parser.add_argument("--objects", type=_positive, help=f"objects of a large state ({given.objects})")
    parser.add_argument("--days", type=_positive, help=f"days with a state each ({given.days})")
    parser.add_argument("--rounds", type=_positive, help=f"rounds of which the median is taken ({rounds})")
    parser.add_argument("--versions", type=_positive, help=f"versions listed from prepared pages ({given.versions})")
    parser.add_argument("--real", type=_positive, help=f"objects listed from a real server ({given.real})")
    parser.add_argument("--delay", type=float, help=f"seconds before each page of a slow server ({given.delay})")
    parser.add_argument("--size", type=_positive, help=f"MiB of files that are restored ({given.size})")
    parser.add_argument(
        "--minutes", type=_minutes, help=f"minutes that a mount is in use in a soak ({given.minutes:g})"
    )
    parser.add_argument("--small", action="store_true", help="small sizes, to see whether it works")
    chosen = vars(parser.parse_args(arguments))
    names: list[str] = chosen.pop("parts")
    unknown = [name for name in names if name not in parts]
    if unknown:
        parser.error(f"no part is called {', '.join(unknown)}; there are: {', '.join(parts)}")
    sizes = SMALL if chosen.pop("small") else {}
    sizes = {**sizes, **{name: value for name, value in chosen.items() if value is not None}}
    if chosen["rounds"] is not None:
        sizes["slow_rounds"] = sizes["rounds"]
    return [name for name in parts if name in (names or usual)], Options(**sizes)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _minutes(text: str) -> float:
    number = float(text)
    if not 0 < number < 100_000:
        raise ValueError(text)
    return number
