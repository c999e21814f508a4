"""The whole story on an embedded S3 server: back up, lose everything, mount the past, restore."""

from rwm.demo.story import tell

__all__ = ["tell"]
