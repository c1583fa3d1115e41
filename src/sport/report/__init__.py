"""A run as one self-contained HTML page: figures with their intervals, and trajectories to browse."""

from sport.report.page import build

__all__ = ["build"]
