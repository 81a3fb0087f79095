"""Planted rows for the bench of training, already encoded: effects of ids, and a source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from exit_pipeline.features import input_spec
from exit_pipeline.model import Encoder, InputSpec
from exit_pipeline.profile import load_profile
from exit_pipeline.training.rows import EncodedRows

# One million embedding rows in all, few of them in most columns, as in a real log.
SIZES = (400_000, 300_000, 200_000, 80_000, 15_000, 4_000, 900, 100)
NAMES = ("user_id", "item_id", "query", "campaign", "shop", "category", "city", "hour")
CHUNK = 100_000
LATENT = 4


def towers_encoder(sources: int = 1) -> Encoder:
    """Vocabularies of the reference configuration: eight columns, no numbers."""
    spec = InputSpec(NAMES, (), {f"s{k}": () for k in range(sources)})
    words = {name: range(size - 1) for name, size in zip(NAMES, SIZES, strict=True)}
    return Encoder(spec, words, {}, "category")  # type: ignore[arg-type]


def exit_encoder(sources: int = 2) -> Encoder:
    """Vocabularies of the default model on the simulated profile's columns, ids as many."""
    own = input_spec(load_profile("simulated").spec)
    first, columns = next(iter(own.source_numeric.items()))
    names = [f"s{k}" for k in range(sources)]
    of_sources = {name: tuple(c.replace(first, name) for c in columns) for name in names}
    target = tuple(f"t{i}" for i in range(len(own.numeric)))
    spec = InputSpec(own.categorical, target, of_sources)
    sizes = dict.fromkeys(own.categorical, 100) | dict(zip(NAMES, SIZES[:2], strict=False))
    words = {name: range(sizes[name] - 1) for name in own.categorical}
    edges = {name: [float(e) for e in np.linspace(-2, 2, 17)] for name in spec.numbers}
    return Encoder(spec, words, edges, own.categorical[2])  # type: ignore[arg-type]


def write(folder: Path, part: str, rows: int, encoder: Encoder) -> EncodedRows:
    """Writes `rows` planted rows as the arrays that training reads; other parts are other rows."""
    sizes, k = encoder.sizes(), len(encoder.spec.sources)
    widths = {"categorical": len(sizes), "numeric": len(encoder.spec.numbers), "labels": 4 + 3 * k}
    kinds = {"categorical": np.int32}
    arrays = {
        name: np.lib.format.open_memmap(
            folder / f"{part}-{name}.npy", "w+", kinds.get(name, np.float32), (rows, width)
        )
        for name, width in widths.items()
    }
    effects = _effects(sizes)
    seed = ("train", "validation").index(part)
    for start in range(0, rows, CHUNK):
        n = min(CHUNK, rows - start)
        rng = np.random.default_rng([seed, start])
        here = slice(start, start + n)
        ids = draw(rng, sizes, n)
        arrays["categorical"][here] = np.stack(ids, axis=1)
        arrays["numeric"][here] = rng.standard_normal((n, widths["numeric"]), np.float32)
        arrays["labels"][here] = _labels(ids, effects, k, rng)
    return EncodedRows(**arrays, sources=k)


def draw(rng: np.random.Generator, sizes: Sequence[int], n: int) -> list[np.ndarray]:
    """By column int32[n] known ids, low ones more often."""
    return [1 + ((size - 1) * rng.random(n) ** 3).astype(np.int32) for size in sizes]


def read(folder: Path, part: str, sources: int, rows: int | None = None) -> EncodedRows:
    """Maps what `write` wrote; `rows` of it where given."""
    return EncodedRows.open(folder, part, sources).part(slice(rows))


def _effects(sizes: Sequence[int]) -> list[np.ndarray]:
    """By column float32[size, 2 + latent]: on own interest, on the source's, and a direction."""
    rng = np.random.default_rng(7)
    return [rng.normal(0, 0.4, (size, 2 + LATENT)).astype(np.float32) for size in sizes]


def _labels(
    ids: list[np.ndarray], effects: list[np.ndarray], sources: int, rng: np.random.Generator
) -> np.ndarray:
    """float32[n, 4 + 3 K]; y follows own interest, user × item, and what the source carries."""
    found = [table[index] for table, index in zip(effects, ids, strict=True)]
    own, other = (sum(one[:, i] for one in found) for i in (0, 1))
    pair = 3 * (found[0][:, 2:] * found[1][:, 2:]).sum(1)
    n = len(own)

    def drawn(logit: np.ndarray) -> np.ndarray:
        return rng.random(n) < 1 / (1 + np.exp(-logit))

    shown = [drawn(other + pair - 1) for _ in range(sources)]
    carries = [drawn(2 * found[-3][:, 1] + own) for _ in range(sources)]
    moved = sum(a & b for a, b in zip(shown, carries, strict=True))
    y = drawn(own + pair + 1.5 * moved - 2)
    order = y & (rng.random(n) < 0.2)
    return np.stack([y, y, order, y & (moved > 0), *shown, *shown, *carries], axis=1)
