"""The configuration: a YAML file, a superset of that of the original tool, and ``RWM_…`` variables for the S3 values.

May import the shared modules.
Begin reading at ``model.py``: the keys; ``load.py``: which file is read, and how;
``s3_settings.py``: the one value that boto3, restic and aws are configured with.
"""

from rwm.config.keep import KeepConfig, is_keep_count
from rwm.config.load import find_config, load_config, search_path
from rwm.config.model import BackupConfig, Config
from rwm.config.proxy import without_proxy_variables
from rwm.config.s3_settings import Credentials, InstanceRole, Profile, S3Settings, prefers_virtual_hosts

__all__ = [
    "BackupConfig",
    "Config",
    "Credentials",
    "InstanceRole",
    "KeepConfig",
    "Profile",
    "S3Settings",
    "find_config",
    "is_keep_count",
    "load_config",
    "prefers_virtual_hosts",
    "search_path",
    "without_proxy_variables",
]
