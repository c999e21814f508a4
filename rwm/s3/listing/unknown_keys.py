"""Keys about which a version listing says nothing reliable, collected while it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import Literal, NamedTuple

from rwm.location import Location
from rwm.model import ObjectVersion

Reason = Literal["garbled", "ambiguous"]
"""``garbled``: the server does not send the exact key. ``ambiguous``: the order of its versions is not known."""

MAX_GARBLED = 10_000
"""Garbled keys that are remembered; an attacker can write any number. A listing never needs to recognize them again."""


class UnknownKey(NamedTuple):
    """A key as the server lists it; of a garbled directory the prefix. Version id and time are of its first entry.

    A directory has no version id, and the time 0.
    """

    key: str
    version_id: str
    at: int
    reason: Reason

    @property
    def known_until(self) -> int:
        """As of the times before it, in milliseconds, the versions of the key are in their order.

        SeaweedFS lists a ``null`` version last that was written later than others. What was written before it is right.
        """
        return self.at if self.reason == "ambiguous" and self.version_id == "null" else 0


@dataclass
class UnknownKeys:
    """The unknown keys that the listings of one account have met. Thread-safe.

    Whoever can write to a bucket can make such keys. They must not stop what is about all other keys: they are left out
    of every claim, and never deleted by a plan.
    """

    _found: dict[str, dict[str, UnknownKey]] = field(default_factory=dict)  # by bucket and key
    _lock: Lock = field(default_factory=Lock)

    def add(self, bucket: str, entry: ObjectVersion, reason: Reason) -> None:
        """Note the key of an entry."""
        self._add(bucket, UnknownKey(entry.key, entry.version_id, entry.last_modified, reason))

    def add_directory(self, bucket: str, prefix: str) -> None:
        """Note a directory whose exact name is not known, with all that is in it."""
        self._add(bucket, UnknownKey(prefix, "", 0, "garbled"))

    def _add(self, bucket: str, key: UnknownKey) -> None:
        with self._lock:
            keys = self._found.setdefault(bucket, {})
            if key.reason == "ambiguous" or len(keys) < MAX_GARBLED:
                known = keys.setdefault(key.key, key)
                if key.known_until < known.known_until:
                    keys[key.key] = key

    def is_ambiguous(self, bucket: str, key: str) -> bool:
        """Whether the order of the key's versions is not known."""
        found = self._found.get(bucket)
        return found is not None and key in found and found[key].reason == "ambiguous"

    def known_until(self, bucket: str, key: str) -> int | None:
        """:attr:`UnknownKey.known_until` of a key that was met; None for all others."""
        found = self._found.get(bucket, {}).get(key)
        return None if found is None else found.known_until

    def forget(self, location: Location) -> None:
        """Forget those below a location, where nothing is left."""
        with self._lock:
            keys = self._found.get(location.bucket, {})
            for key in [key for key in keys if key.startswith(location.prefix)]:
                del keys[key]

    def buckets(self) -> list[str]:
        """The buckets that have some."""
        with self._lock:
            return sorted(bucket for bucket, keys in self._found.items() if keys)

    def below(self, location: Location) -> list[UnknownKey]:
        """Those below a location that were met so far, by key."""
        with self._lock:
            found = self._found.get(location.bucket, {})
            return sorted(key for key in found.values() if key.key.startswith(location.prefix))
