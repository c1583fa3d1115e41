"""Evaluation: task sets, scorers with their denominators stated, and one way to run them."""
