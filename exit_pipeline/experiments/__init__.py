"""The arena: worlds, contenders, and the studies that compare them (ours)."""
