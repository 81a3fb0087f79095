"""Benches: each makes its own data from a seed and measures a floor, peers and the product."""

BENCHES = (
    "labels",
    "features",
    "validation",
    "training",
    "serving",
    "soak",
    "pipeline",
    "stores",
    "scale",
    "growth",
    "whole",
)
