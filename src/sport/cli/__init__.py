"""The commands. ``app`` and ``main`` are what a console script needs; a file here is a command or a few."""

from sport.cli.door import app, main

__all__ = ["app", "main"]
