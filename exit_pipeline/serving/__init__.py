"""The ranking service: what answers, what follows the champion, what holds when things fail."""

# Before Feast, which would have every counter of the process kept in files that all share.
import prometheus_client as prometheus_client
