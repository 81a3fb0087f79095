"""Ranking with a trained model: scores, their parts, and the user's features out of Feast."""
