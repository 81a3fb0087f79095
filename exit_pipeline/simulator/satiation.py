"""What users were lately shown in the feed: in world B they tire of it."""

from __future__ import annotations

import numpy as np

from exit_pipeline.simulator.world import CATEGORIES, Exposures, World

KEPT_A_DAY = 0.6


class Satiation:
    """How often each user was shown each category in the feed before today, older days less.

    Args:
        world: Its users and items.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.shown = np.zeros((world.config.users, len(CATEGORIES)), np.float32)

    def seen(self, user: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Returns float32[n]: what n exposures' users have seen of the items' categories."""
        return self.shown[user, self.world.category[item]]

    def add(self, x: Exposures) -> None:
        """Ends a day: what it showed counts from tomorrow on."""
        self.shown *= KEPT_A_DAY
        np.add.at(self.shown, (x.user, self.world.category[x.item]), np.float32(1))
