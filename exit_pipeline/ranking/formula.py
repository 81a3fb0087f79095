"""What a model has learned beside its nets, as the compiled loops take it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from exit_pipeline.model.exit import SUPPORT, Exit
from exit_pipeline.model.towers import Towers


@dataclass(frozen=True)
class Formula:
    """How a model puts together what its nets say (`Exit`; see `gate`, `carried` and `summed`).

    Args:
        summed: Whether P_whole is a sum (`sum`).
        closed: Whether the trunk sees nothing of any source.
        taste: float64[K], τ_k; 1 where there is no gate, and all is seen.
        resistance: float64[K], softplus(ρ_k); 0 where nothing resists.
        strength: float32[units, K], softplus(κ_k[c]).
        doubt: float32[units, K], M² / (M² + N²) of the gate; 0 where there is none.
        counts: Where each source's count of interest in the unit stands among the numbers.
        supports: Where each source's support stands; none where the model does not read it.
    """

    summed: bool
    closed: bool
    taste: np.ndarray
    resistance: np.ndarray
    strength: np.ndarray
    doubt: np.ndarray
    counts: list[int]
    supports: list[int]

    @classmethod
    @torch.inference_mode()
    def of(cls, module: nn.Module, units: int, sources: int) -> Formula:
        """Reads it off a model that knows some interest units and reads K sources."""
        taste, resistance = torch.ones(sources), torch.zeros(sources)
        strength, doubt = torch.zeros(units, 0), torch.zeros(units, sources)
        is_summed = is_closed = False
        reads: list[list[int]] = [[], []]
        if isinstance(module, Exit | Towers):
            strength = F.softplus(module.strength.weight)
        if isinstance(module, Exit):
            spec = module.spec
            is_summed, is_closed = spec.combination == "sum", spec.trunk == "closed"
            if spec.trunk == "gated":
                taste, reads = module.taste.sigmoid(), [module.counts, module.supports]
                doubt = 1 / (1 + (module.met / spec.gate_rows).square())
            if spec.resists:
                resistance = F.softplus(module.resistance)
        learned = taste.double().numpy(), resistance.double().numpy()
        return cls(is_summed, is_closed, *learned, strength.numpy(), doubt.numpy(), *reads)

    def known(self, numbers: np.ndarray, units: np.ndarray) -> np.ndarray:
        """How far the trunk follows p_tr,k (`Exit.known`).

        Args:
            numbers: float32[n, M], NaN unknown.
            units: int64[n], encoded interest units.

        Returns:
            float32[n, K]; 0 where no interest was shown, or there is no gate.
        """
        if not self.counts:
            return np.zeros((len(units), self.doubt.shape[1]), np.float32)
        known = (numbers[:, self.counts] > 0) * self.doubt[units]
        if self.supports:
            support = np.nan_to_num(numbers[:, self.supports])
            known *= support / (support + np.float32(SUPPORT))
        return known
