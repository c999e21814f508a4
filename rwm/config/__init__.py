"""The configuration: a YAML file, a superset of that of the original tool, and ``RWM_…`` variables for the S3 values.

May import the shared words.
Begin reading at ``model.py``: the keys; ``load.py``: which file is read, and how.
"""

from rwm.config.load import find_config, load_config, search_path
from rwm.config.model import BackupConfig, Config

__all__ = ["BackupConfig", "Config", "find_config", "load_config", "search_path"]
