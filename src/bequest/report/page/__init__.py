"""The page: one self-contained file that says what a run was asked, found out and cost.

Pictures are inline SVG and tables made here, with a small script for hovering and switching. A
charting library would bring more than the whole page may weigh (plotly.js: 4.5 MB) and draw
nothing that a screen reader, a printer or a phone gets more from.
"""

from __future__ import annotations

from bequest.report.page.beside import write_comparison
from bequest.report.page.source import EXHIBITS, PAGE
from bequest.report.page.whole import write_page

__all__ = ["EXHIBITS", "PAGE", "write_comparison", "write_page"]
