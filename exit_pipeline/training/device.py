"""Where training runs, and what makes it the same every time on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from exit_pipeline.errors import SettingsError


def choose_device(wanted: str) -> torch.device:
    """Returns the device asked for; `auto` takes CUDA, then MPS, then the CPU.

    Raises:
        SettingsError: That device is not on this machine.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        return torch.device(next(name for name, found in there.items() if found))
    if not there[wanted]:
        raise SettingsError(
            f"there is no {wanted} device here", where="EXIT_DEVICE", mend="use auto or cpu"
        )
    return torch.device(wanted)


@contextmanager
def reproducible(seed: int, threads: int) -> Iterator[None]:
    """Seeds torch, fixes its threads and asks for deterministic kernels; puts all back after."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.set_num_threads(before[0])
            torch.use_deterministic_algorithms(before[1])
