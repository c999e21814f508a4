"""The rules of ``rwm forget``: ``retention`` and ``retention_extras`` of a configuration. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rwm.errors import ConfigError, Refused, UsageError
from rwm.times import parse_restic_duration
from rwm.trust import KeepPolicy

GROUPINGS = ("host", "paths", "tags")
"""What restic groups snapshots by."""

DEFAULT_GROUPING = "host,paths"

_PERIODS = ("hourly", "daily", "weekly", "monthly", "yearly")
_COUNTS = ("last", *_PERIODS)
_WITHIN = ("within", *(f"within-{period}" for period in _PERIODS))
_KEEP_OPTIONS = tuple(f"--keep-{name}" for name in (*_COUNTS, *_WITHIN, "tag"))
_PRUNE_OPTIONS = ("--max-unused", "--max-repack-size")
_PRUNE_FLAGS = ("--repack-cacheable-only", "--repack-small", "--repack-uncompressed")
_IGNORED_FLAGS = ("--compact", "-c", "--quiet", "-q", "--verbose", "-v")
_GROUP_BY = ("--group-by", "-g")


class ForgetPolicy(NamedTuple):
    """Which snapshots stay. ``tags``: a snapshot that has all tags of one of them stays.

    ``rules`` are as in the configuration; ``prune_options`` are arguments for ``restic prune``.
    """

    rules: Mapping[str, str]
    tags: tuple[tuple[str, ...], ...]
    group_by: tuple[str, ...]
    prune_options: tuple[str, ...] = ()

    @property
    def counts_alone(self) -> bool:
        """Whether no rule is about time: as many snapshots of one hour push out all others."""
        return not any(rule.removeprefix("keep-") in (*_PERIODS, *_WITHIN) for rule in self.rules)

    def explain(self, times: Sequence[int]) -> dict[int, list[str]]:
        """The positions that rules keep, each with the names of these rules; ``times`` come oldest first.

        The oldest one also stays while a count has a rest, as in restic since 0.17.
        """
        kept: dict[int, list[str]] = {}
        for rule, value in self.rules.items():
            name = rule.removeprefix("keep-")
            positions = KeepPolicy({name: value}).keeps(times)
            if times and _keeps_oldest(name, value, times, len(positions)):
                positions.add(0)
            for position in positions:
                kept.setdefault(position, []).append(name)
        return kept


def _keeps_oldest(name: str, value: str, times: Sequence[int], kept: int) -> bool:
    if name in _WITHIN:
        return 0 in KeepPolicy({"within": value}).keeps(times)
    return name in _COUNTS and kept < (int(value) if value.isdecimal() else len(times))


def _is_readable(name: str, value: str) -> bool:
    """Whether a value is a number or duration that this rule understands."""
    if name in _COUNTS:
        return value.isdecimal() or value in ("unlimited", "-1")
    try:
        parse_restic_duration(value)
    except UsageError:
        return False
    return True


def read_policy(retention: Mapping[str, str], extras: Sequence[str], group_by: str | None = None) -> ForgetPolicy:
    """The rules. ``group_by``, as restic writes it, replaces that of ``extras``.

    Raises Refused for rules that keep nothing, ConfigError for a value or an option that is not understood, and
    UsageError for another grouping than restic's.
    """
    rules, tags = dict(retention), [retention["keep-tag"]] if "keep-tag" in retention else []
    prune_options = []
    for option, value in _options(extras):
        if option in _GROUP_BY:
            group_by = value if group_by is None else group_by
        elif option == "--keep-tag":
            tags.append(value)
        elif option.startswith("--keep-"):
            rules[option.removeprefix("--")] = value
        elif option in _PRUNE_OPTIONS or option in _PRUNE_FLAGS:
            prune_options.append(f"{option}={value}" if value else option)
    timed = {name: value for name, value in rules.items() if name != "keep-tag"}
    if unreadable := [name for name, value in timed.items() if not _is_readable(name.removeprefix("keep-"), value)]:
        raise ConfigError(
            f"retention: {', '.join(unreadable)} has a value that is no number or duration of restic",
            hint="write keep-daily: 14, and durations as 30d, 1y6m or 12h (m are months)",
        )
    if KeepPolicy(timed).is_empty and not tags:
        why = "the retention keeps nothing" if rules else "no retention is configured"
        raise Refused(
            f"{why}: every snapshot would be removed",
            hint="set retention in the configuration of the admin, as keep-daily: 14",
        )
    grouping = _parse_grouping(DEFAULT_GROUPING if group_by is None else group_by)
    return ForgetPolicy(rules, tuple(tuple(tag.split(",")) for tag in tags), grouping, tuple(prune_options))


def _options(extras: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Options with their values, which may be words of their own."""
    words = iter(extras)
    for word in words:
        option, equals, value = word.partition("=")
        if word in _PRUNE_FLAGS or word in _IGNORED_FLAGS:
            yield word, ""
        elif option in (*_GROUP_BY, *_PRUNE_OPTIONS, *_KEEP_OPTIONS):
            yield option, value if equals else next(words, "")
        else:
            raise ConfigError(
                f"retention_extras: {word} is no option that rwm forget applies",
                hint="it applies --keep-…, --group-by and the options of restic prune; set rules in retention",
            )


def _parse_grouping(text: str) -> tuple[str, ...]:
    names = [name.strip().removesuffix("s") for name in text.split(",") if name.strip()]
    known = {name.removesuffix("s"): name for name in GROUPINGS}
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"--group-by: {', '.join(unknown)} is none of {', '.join(GROUPINGS)}")
    return tuple(name for key, name in known.items() if key in names)
