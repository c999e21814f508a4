"""Errors of FUSE handlers as errnos.

A name that does not exist is ENOENT, a write outside ``locks/`` is EROFS, and any failure of S3 is EIO: restic takes
ENOENT and EACCES as final and never retries. An archived object is EACCES, because it stays so for hours. An unexpected
exception is EIO as well, with a traceback in the log; it would end the mount if it left the handler.
"""

from __future__ import annotations

import errno
import functools
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

import pyfuse3

from rwm.errors import Archived, RwmError, S3Error, StateNotFound
from rwmfs.tree import LocksError, UnknownInode

log = logging.getLogger(__name__)

Self = TypeVar("Self", bound="BaseHandlers")
Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")
Handler = Callable[Concatenate[Self, Arguments], Coroutine[Any, Any, Result]]


class BaseHandlers(pyfuse3.Operations):
    """The base of all handlers: errors that would repeat with every request are logged once."""

    def __init__(self) -> None:
        super().__init__()
        self._logged: set[str] = set()

    def log_once(self, message: str) -> None:
        """Log an error unless it was logged before."""
        if message not in self._logged:
            self._logged.add(message)
            log.error("%s", message)


def handler(method: Handler[Self, Arguments, Result]) -> Handler[Self, Arguments, Result]:
    """Decorate a handler so that every error leaves it as a FUSEError."""

    @functools.wraps(method)
    async def handle(self: Self, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return await method(self, *args, **kwargs)
        except pyfuse3.FUSEError:
            raise
        except LocksError as error:
            code = error.errno
        except UnknownInode:
            code = errno.ESTALE
        except Archived:  # the reader has logged it
            code = errno.EACCES
        except S3Error:  # the reader has logged it
            code = errno.EIO
        except StateNotFound as error:  # forgotten: its names are unknown, not absent
            self.log_once(error.message)
            code = errno.EIO
        except RwmError as error:  # the index is damaged
            log.error("%s failed: %s", method.__name__, error.message)
            code = errno.EIO
        except Exception:
            log.exception("%s failed", method.__name__)
            code = errno.EIO
        raise pyfuse3.FUSEError(code)

    return handle
