"""The settings of an audit, from the configuration and from what a person has judged. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from rwm.config import Config
from rwm.errors import ConfigError
from rwm.model import Acknowledgement
from rwm.trust.audit import AuditSettings
from rwm.trust.rules_table import CODES


def make_settings(config: Config, acknowledged: Mapping[str, Acknowledgement]) -> AuditSettings:
    """The settings of an audit. Raises ConfigError for a code in ``except`` that is none of a rule."""
    unknown = sorted(set(config.audit.except_) - CODES)
    if unknown:
        raise ConfigError(
            f"{config.path}: audit.except: {', '.join(unknown)} is not the code of a rule",
            hint="`rwm audit --rules` lists the codes",
        )
    return AuditSettings(acknowledged, frozenset(config.audit.except_), config.retention)
