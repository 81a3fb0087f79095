"""Where training runs, and what makes it the same every time on a CPU."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from exit_pipeline.errors import SettingsError
from exit_pipeline.model.inputs import Batch

# glibc's mallopt: its parameters, and bytes. What it starts with is 128 KiB for both.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEPT, MAPPED, GIVEN_BACK = 256 << 20, 32 << 20, 128 << 10


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


def instructions() -> str:
    """What a CPU adds up with: another vendor's, or other units, round sums otherwise.

    torch's capability alone is not it, as the libraries of its products choose for themselves.
    """
    found = [torch.backends.cpu.get_cpu_capability()]
    units = {"bf16": torch.cpu._is_avx512_bf16_supported, "amx": torch.cpu._is_amx_tile_supported}
    found += [name for name, there in units.items() if there()]
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        found += [line.split(":")[1].strip() for line in lines if line.startswith("vendor_id")][:1]
    return " ".join(found)


@contextmanager
def reproducible(seed: int, threads: int) -> Iterator[None]:
    """Seeds torch, fixes its threads and asks for deterministic kernels; puts all back after.

    Freed memory is kept meanwhile: each step takes and frees the same activations, and getting
    their pages from the system again and again was a sixth of its cost.
    """
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        # Not by `use_deterministic_algorithms`: it imports torch's compiler, for a second or more.
        torch.set_deterministic_debug_mode("warn")
        # No kernel reads what it did not write; filling new tensors was an eighth of a step.
        _fill(False)
        keep_freed(KEPT)
        try:
            yield
        finally:
            torch.set_num_threads(before[0])
            torch.set_deterministic_debug_mode(before[1])
            _fill(True)
            keep_freed(GIVEN_BACK, GIVEN_BACK)


def _fill(fresh: bool) -> None:
    # A property of the module's class, which type checkers do not see.
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", fresh)  # noqa: B010


def ahead(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """Yields batches on a device; a GPU's next one is read, pinned and sent while it works."""
    if device.type != "cuda":
        yield from batches
        return

    def take() -> Batch | None:
        batch = next(batches, None)
        return batch and batch.pin().to(device)

    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(take)
        while (batch := coming.result()) is not None:
            coming = reader.submit(take)
            yield batch


def keep_freed(kept: int, mapped: int = MAPPED) -> None:
    """Sets how much freed memory glibc keeps, and from which size on it maps; elsewhere nothing."""
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(TRIM_THRESHOLD, kept)
        libc.mallopt(MMAP_THRESHOLD, mapped)
        if kept == GIVEN_BACK:
            libc.malloc_trim(0)
