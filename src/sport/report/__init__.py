"""A run as one self-contained HTML page: figures with their intervals, and trajectories to browse.

:func:`build` writes that page; :func:`export` writes a folder with all trajectories.
"""

from sport.report.export import export
from sport.report.page import build

__all__ = ["build", "export"]
