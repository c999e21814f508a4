"""Every error of a FUSE handler as an errno.

What does not exist is ENOENT, writing outside ``locks/`` is EROFS, everything that goes wrong with S3 is EIO: restic
takes ENOENT and EACCES for an answer and never asks again. An exception that nobody foresaw is EIO too and leaves a
traceback in the log; were it to leave a handler, it would end the mount.
"""

from __future__ import annotations

import errno
import functools
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

import pyfuse3

from rwm.errors import RwmError, S3Error, StateNotFound
from rwmfs.tree import ScratchError, UnknownInode

log = logging.getLogger(__name__)

Self = TypeVar("Self", bound="Handlers")
Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")
Handler = Callable[Concatenate[Self, Arguments], Coroutine[Any, Any, Result]]


class Handlers(pyfuse3.Operations):
    """What all handlers share."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[str] = set()

    def tell_once(self, message: str) -> None:
        """Log an error that every further request would repeat."""
        if message not in self._told:
            self._told.add(message)
            log.error("%s", message)


def handler(method: Handler[Self, Arguments, Result]) -> Handler[Self, Arguments, Result]:
    """Give every error of a handler its errno."""

    @functools.wraps(method)
    async def handle(self: Self, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return await method(self, *args, **kwargs)
        except pyfuse3.FUSEError:
            raise
        except ScratchError as error:
            code = error.errno
        except UnknownInode:
            code = errno.ESTALE
        except S3Error:  # the reader has logged it
            code = errno.EIO
        except StateNotFound as error:  # the index has lost the state: what it held is unknown, not absent
            self.tell_once(error.message)
            code = errno.EIO
        except RwmError as error:  # the index is damaged
            log.error("%s failed: %s", method.__name__, error.message)
            code = errno.EIO
        except Exception:
            log.exception("%s failed", method.__name__)
            code = errno.EIO
        raise pyfuse3.FUSEError(code)

    return handle
