"""The credentials of an account, from the configuration, from a profile, or from the role of this machine."""

from __future__ import annotations

import functools
import os
from collections.abc import Collection
from typing import Any

import botocore.session
from botocore.credentials import Credentials as SdkCredentials
from botocore.credentials import create_credential_resolver
from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound

from rwm.config import Credentials, InstanceRole, Profile, S3Settings
from rwm.errors import AccessDenied, ConfigError
from rwm.s3.error_mapping import one_line

_OF_MACHINE = ("assume-role-with-web-identity", "container-role", "iam-role")
_OF_PROFILE = (
    "assume-role",
    "assume-role-with-web-identity",
    "sso",
    "login",
    "shared-credentials-file",
    "custom-process",
    "config-file",
)
"""Methods of botocore's chain. The others could find credentials of another account."""

_METADATA_ATTEMPTS = 3


def current_credentials(settings: S3Settings) -> Credentials:
    """Credentials that are valid now, for a program that does not renew them. Raises ConfigError or AccessDenied."""
    if isinstance(settings.credentials, Credentials):
        return settings.credentials
    frozen = load_credentials(settings).get_frozen_credentials()
    return Credentials(str(frozen.access_key), str(frozen.secret_key), frozen.token)


def load_credentials(settings: S3Settings) -> SdkCredentials:
    """Credentials for a client; those of a profile or role renew themselves. Raises ConfigError or AccessDenied.

    Each profile and role is loaded once in a process, so that a one-time password is asked for once.
    """
    if isinstance(settings.credentials, Credentials):
        return SdkCredentials(*settings.credentials)
    return _load_from_chain(
        settings.credentials, settings.region, str(settings.ca_file.path) if settings.ca_file else None
    )


@functools.cache
def _load_from_chain(source: Profile | InstanceRole, region: str, ca_file: str | None) -> SdkCredentials:
    try:
        session, methods = _chain_session(source)
        if session.get_config_variable("region") is None:
            session.set_config_variable("region", region)
        if ca_file:
            session.set_config_variable("ca_bundle", ca_file)
        session.set_config_variable("metadata_service_num_attempts", _METADATA_ATTEMPTS)
        credentials = _load(session, methods)
    except ProfileNotFound as error:
        raise ConfigError(f"s3_profile: {one_line(error)}", hint="`aws configure list-profiles` shows them") from error
    except (BotoCoreError, ClientError, OSError, EOFError) as error:  # EOFError: no terminal to ask for a password
        raise AccessDenied(f"credentials of the {source}: {one_line(error)}", hint=_hint(source)) from error
    if credentials is None:
        raise ConfigError(f"the {source} gives no credentials", hint=_hint(source))
    return credentials


def _chain_session(source: Profile | InstanceRole) -> tuple[botocore.session.Session, Collection[str]]:
    """A session and the methods to try; it reads the files of the aws command for a profile only."""
    if isinstance(source, Profile):
        return botocore.session.Session(profile=source.name), _OF_PROFILE
    no_file = (None, None, os.devnull, None)
    files = {"config_file": no_file, "credentials_file": no_file, "profile": (None, None, None, None)}
    return botocore.session.Session(session_vars=files), _OF_MACHINE


def _load(session: botocore.session.Session, methods: Collection[str]) -> SdkCredentials | None:
    """The first credentials that the methods find. Loads them once, to detect a denied role now."""
    resolver: Any = create_credential_resolver(session, region_name=session.get_config_variable("region"))
    resolver.providers = [provider for provider in resolver.providers if provider.METHOD in methods]
    credentials: SdkCredentials | None = resolver.load_credentials()
    if credentials is not None:
        credentials.get_frozen_credentials()
    return credentials


def _hint(source: Profile | InstanceRole) -> str:
    if isinstance(source, Profile):
        return f"try `aws sts get-caller-identity --profile {source.name}`, after `aws sso login` if it is one of SSO"
    return "a role comes from the metadata service or the container; AWS_EC2_METADATA_DISABLED turns the first off"
