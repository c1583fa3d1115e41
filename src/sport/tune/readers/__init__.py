"""Readers of other people's data sets: records from files, turns from records, trees from turns.

:func:`sport.tune.readers.read.read` is the door; which reader a file needs is told by its first record, never by its
name. Nothing here knows tokens or models.
"""
