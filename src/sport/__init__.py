"""sport: a multimodal, tool-using agent that teaches itself (the SPORT method, arXiv 2504.21561)."""

__version__ = "0.1.0"
