"""A simulated product with known transferability: the embedded default data set, and the oracle.

Everything here is ours; each module says what it plants, `config.py` what tells the worlds apart.
"""

from exit_pipeline.simulator.answer import Answer, Asked, answer, ask_for
from exit_pipeline.simulator.config import SimulationConfig
from exit_pipeline.simulator.days import simulate
from exit_pipeline.simulator.world import World

__all__ = ["Answer", "Asked", "SimulationConfig", "World", "answer", "ask_for", "simulate"]
