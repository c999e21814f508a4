"""Write the policy of a bucket while other programs may write it too: read it back, also after a pause."""

from __future__ import annotations

import time
from collections.abc import Callable

from rwm.errors import Refused, RwmError
from rwm.s3 import S3, Policy
from rwm.storage.grants import same_policy

_SETTLE_SECONDS = 1.0
"""How long after a write the policy is compared again: a program that read it before the write may write later."""
_READ_SECONDS = 5.0
"""How long to wait until the server returns the new policy."""
_PAUSE = 0.2


def write_policy(s3: S3, bucket: str, policy: Policy | None) -> None:
    """Write the policy; None deletes it. It is not read back."""
    if policy is None:
        s3.delete_policy(bucket)
    else:
        s3.put_policy(bucket, policy)


def takes_effect(check: Callable[[], bool], seconds: float) -> bool:
    """Whether ``check`` becomes true within some seconds: servers cache policies."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True


def wait_for_other_writers() -> None:
    """Wait until a program that read the policy before a write has written its own."""
    time.sleep(_SETTLE_SECONDS)


def replace_policy(s3: S3, bucket: str, old: Policy | None, new: Policy) -> None:
    """Write the policy if it still is ``old``, and read it until it is ``new``, at last after a pause.

    Raises Refused if it was changed meanwhile, and RwmError if the server does not return the new one.
    """
    if s3.policy(bucket) != old:
        raise Refused(f"the policy of bucket {bucket} was changed meanwhile", hint="repeat the command")
    write_policy(s3, bucket, new)
    takes_effect(lambda: same_policy(s3.policy(bucket), new), _READ_SECONDS)
    wait_for_other_writers()
    if not same_policy(s3.policy(bucket), new):
        raise other_policy(bucket)


def other_policy(bucket: str) -> RwmError:
    """The error of a policy that did not stay as it was written."""
    return RwmError(
        f"bucket {bucket} has another policy than the one that was written",
        hint="another program may have changed it at the same time; repeat the command",
    )
