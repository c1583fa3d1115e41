"""Critics of steps."""
