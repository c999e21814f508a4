"""How to reach one account on one S3 server: the one value that boto3, restic and aws are configured with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from rwm.config.ca_file import CaFile
from rwm.config.proxy import ProxyVariables

Addressing = Literal["path", "virtual"]
"""Where the bucket's name goes: ``https://host/bucket/key``, or ``https://bucket.host/key``."""

_VIRTUAL_HOSTS = (".amazonaws.com", ".amazonaws.com.cn", "storage.googleapis.com", ".aliyuncs.com")


class Credentials(NamedTuple):
    """The keys of one S3 account; temporary ones have a session token. ``repr`` omits the secrets."""

    access_key: str
    secret_key: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.access_key!r}, …)"


@dataclass(frozen=True)
class Profile:
    """A profile of ``~/.aws`` that gives credentials."""

    name: str

    def __str__(self) -> str:
        return f"profile {self.name}"


@dataclass(frozen=True)
class InstanceRole:
    """The role of this machine: of its container, or of the virtual machine."""

    def __str__(self) -> str:
        return "instance role"


@dataclass(frozen=True)
class S3Settings:
    """Server and account. ``ca_file`` None: each program's own list. ``repr`` shows no secret."""

    endpoint_url: str
    credentials: Credentials | Profile | InstanceRole
    region: str = "us-east-1"
    addressing: Addressing = "path"
    ca_file: CaFile | None = None
    proxies: ProxyVariables = field(default_factory=ProxyVariables)


def prefers_virtual_hosts(endpoint_url: str) -> bool:
    """Whether restic by itself addresses buckets of this server by host name: AWS, Google and Alibaba."""
    return f"{urlsplit(endpoint_url).hostname}".endswith(_VIRTUAL_HOSTS)


def resolve_addressing(setting: Literal["path", "virtual", "auto"], endpoint_url: str) -> Addressing:
    """The addressing of all three programs; ``auto`` is restic's choice, which boto3 and aws do not have."""
    if setting == "auto":
        return "virtual" if prefers_virtual_hosts(endpoint_url) else "path"
    return setting
