"""A simulated product with known transferability: the embedded default data set, and the oracle.

Everything here is ours; the forms of the worlds are set out in docs/simulator.md.
"""

from exit_pipeline.simulator.answer import Answer, Asked, answer, ask_for
from exit_pipeline.simulator.config import SimulationConfig
from exit_pipeline.simulator.days import simulate
from exit_pipeline.simulator.world import World

__all__ = ["Answer", "Asked", "SimulationConfig", "World", "answer", "ask_for", "simulate"]
