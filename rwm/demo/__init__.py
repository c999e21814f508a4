"""The whole story on an embedded S3 server: back up, lose everything, mount the past, restore.

May import the shared words, ``s3``, ``process``, ``embedded``.
Begin reading at ``story.py``.
"""

from rwm.demo.data import MIB
from rwm.demo.story import tell

__all__ = ["MIB", "tell"]
