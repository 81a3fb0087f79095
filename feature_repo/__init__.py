"""A Feast repository: `feast apply` works in this folder as in any other."""
