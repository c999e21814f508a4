"""The settings of an audit, from the configuration and from what a person has judged. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rwm.config import Config
from rwm.errors import ConfigError
from rwm.model import Acknowledgement, OwnChange
from rwm.trust.location_audit import AuditSettings
from rwm.trust.own_changes import OwnChanges
from rwm.trust.rules_table import CODES


def make_settings(
    config: Config, acknowledged: Mapping[str, Acknowledgement], own: Iterable[OwnChange] = ()
) -> AuditSettings:
    """The settings of an audit; ``own`` is what RWM itself did, by trusted records.

    Raises ConfigError for a code in ``except`` that is none of a rule."""
    unknown = sorted(set(config.audit.except_) - CODES)
    if unknown:
        raise ConfigError(
            f"{config.path}: audit.except: {', '.join(unknown)} is not the code of a rule",
            hint="`rwm audit --rules` lists the codes",
        )
    return AuditSettings(acknowledged, frozenset(config.audit.except_), config.retention, OwnChanges(own))
