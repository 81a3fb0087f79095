"""Explicit interest transfer for cross-domain recommendation (arXiv 2407.20121)."""

__version__ = "0.1.0"
