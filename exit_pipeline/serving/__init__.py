"""The ranking service: what answers, what follows the champion, what holds when things fail."""
