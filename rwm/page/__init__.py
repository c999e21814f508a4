"""The audit as one self-contained HTML page. Only owner of Jinja2.

May import the shared modules, ``console`` and ``trust``. All but ``file.py`` is pure.
Begin reading at ``page.py``: from the report to the page; ``chart.py``: the timeline; ``templates/audit.html``.
"""

from rwm.page.file import check_page_file, write_page
from rwm.page.page import PageText, render_page

__all__ = ["PageText", "check_page_file", "render_page", "write_page"]
