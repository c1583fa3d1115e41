"""Task synthesis: queries, files, and the check that they fit each other."""
