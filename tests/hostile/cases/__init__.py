"""The programs, a module per category."""
