"""What the SDK does alike for each client, done once: it is nearly all that a new client costs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import botocore.session
from botocore import hooks
from botocore.compat import accepts_kwargs
from botocore.loaders import create_loader

_hooks: Any = hooks
_alias_event_name = _hooks.EventAliaser(hooks.HierarchicalEmitter())._alias_event_name


def parse_once() -> None:
    """All clients of this process share the parsed descriptions of services, and the names of events."""
    botocore.session.create_loader = functools.cache(create_loader)
    _hooks.accepts_kwargs = _accepts_kwargs
    _hooks.EventAliaser._alias_event_name = lambda _, name: _alias_event_name(name)


def preload() -> None:
    """Parse them now, for processes that are forked from this one."""
    parse_once()
    for service in ("s3", "sts"):
        botocore.session.get_session().create_client(service, region_name="us-east-1")


def _accepts_kwargs(handler: Callable[..., Any]) -> bool:
    """What botocore asks of every handler, without making its signature."""
    code = getattr(handler, "__code__", None)
    return bool(code.co_flags & inspect.CO_VARKEYWORDS if code else accepts_kwargs(handler))
