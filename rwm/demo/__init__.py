"""A demonstration on an embedded S3 server: back up, lose everything, mount a past state, restore.

May import the shared modules, ``s3``, ``process``, ``embedded``.
Begin reading at ``steps.py``: what is demonstrated; ``run.py``: the server and directory around it.
"""

from rwm.demo.run import run_demo
from rwm.demo.sample_files import MIB

__all__ = ["MIB", "run_demo"]
