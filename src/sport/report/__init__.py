"""A run as one self-contained HTML page: figures with their intervals, and trajectories to browse.

:func:`build` writes that page; :func:`export` writes a folder with all trajectories; :func:`beside` sets two runs
side by side.
"""

from sport.report.export import export
from sport.report.page import build
from sport.report.versus import build as beside

__all__ = ["beside", "build", "export"]
