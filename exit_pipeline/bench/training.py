"""Training against torch-rechub, deepctr-torch and a floor; growth in sources and in rows."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch

from exit_pipeline.bench.measure import LEAST, Contender, measure, report, watched
from exit_pipeline.bench.training_data import exit_encoder, read, towers_encoder, write
from exit_pipeline.bench.training_floor import BEST
from exit_pipeline.bench.training_peers import BATCH, DIM, EXPERT, HEAD
from exit_pipeline.model import MODELS, Encoder
from exit_pipeline.profile.learning import ModelSpec, TrainingSpec
from exit_pipeline.training.device import reproducible
from exit_pipeline.training.loop import SCORE_ROWS, fit
from exit_pipeline.training.step import uses_bf16

HERE, PEERS = "exit_pipeline.bench.training", "exit_pipeline.bench.training_peers"
MODULES = {"rechub": "torch_rechub", "deepctr": "deepctr_torch"}
TOWERS = ModelSpec(
    hidden=EXPERT, side_hidden=HEAD, embedding_dim=DIM, id_dropout=0, value_dropout=0, dropout=0
)
# The five largest of the eight tables; the default's bound leaves one of them to AdamW.
TABLE_ROWS = 10_000
LEARN = ("fp32", "bf16")
CPU = torch.device("cpu")


def run(rows: int = 400_000, quick: bool = False) -> dict[str, Any]:
    """Trains an epoch of each contender, and three of those whose validation logloss is compared.

    Args:
        rows: Of the training part, an eighth as many to validate on; peers' speed is taken on a
            quarter.
        quick: 20,000 rows, once, one epoch.
    """
    rows, repeats, epochs = (20_000, 1, 1) if quick else (rows, 3, 3)
    with tempfile.TemporaryDirectory(prefix="bench-training-") as folder:
        _prepare(Path(folder), rows)
        found = measure(_contenders(folder, rows), repeats, best={**LEAST, **BEST})
        tenfold = (f"{HERE}:towers", {"folder": f"{folder}/tenfold"})
        found |= measure({"tenfold": tenfold}, 1)
        quality = found if quick else measure(_learning(folder, rows, epochs), 1)
    config = {"rows": rows, "batch": BATCH, "repeats": repeats, "epochs_for_logloss": epochs}
    return _report({**config, "table_rows": TABLE_ROWS}, found, quality)


def _prepare(folder: Path, rows: int) -> None:
    for name, encoder, n, held in (
        ("towers", towers_encoder(), rows, rows // 8),
        ("towers_16", towers_encoder(16), rows, rows // 8),
        ("tenfold", towers_encoder(), 10 * rows, rows // 8),
        *((f"exit_{k}", exit_encoder(k), rows // 16, rows // 64) for k in (1, 2, 16)),
    ):
        (folder / name).mkdir()
        write(folder / name, "train", n, encoder)
        write(folder / name, "validation", held, encoder)


def _contenders(folder: str, rows: int) -> dict[str, Contender]:
    """Whose speed is measured."""
    plain = {"folder": f"{folder}/towers"}
    exits: dict[str, Contender] = {
        f"exit_{k}": (f"{HERE}:default_model", {"folder": f"{folder}/exit_{k}", "sources": k})
        for k in (1, 2, 16)
    }
    return {
        "floor": (f"{HERE}_floor:floor", {}),
        "loader": (f"{HERE}:loader", plain),
        "sources_16": (f"{HERE}:towers", {"folder": f"{folder}/towers_16", "sources": 16}),
        **exits,
        **_learning(folder, rows // 4, 1, ours=rows),
    }


def _learning(folder: str, rows: int, epochs: int, ours: int | None = None) -> dict[str, Contender]:
    """Ours and the peers on the same rows, without what is not there: bf16 units, packages."""
    own = {"folder": f"{folder}/towers", "rows": ours or rows, "epochs": epochs}
    precisions = LEARN if uses_bf16("auto", CPU) else LEARN[:1]
    peers = [name for name, module in MODULES.items() if find_spec(module)]
    return {
        **{p: (f"{HERE}:towers", {**own, "precision": p}) for p in precisions},
        **{name: (f"{PEERS}:{name}", {**own, "rows": rows}) for name in peers},
    }


def towers(
    folder: str,
    rows: int | None = None,
    epochs: int = 1,
    sources: int = 1,
    precision: Literal["fp32", "bf16"] = "fp32",
) -> dict[str, Any]:
    """The reference configuration by the product's own loop."""
    spec = TrainingSpec(
        batch_size=BATCH, epochs=epochs, patience=epochs, precision=precision, table_rows=TABLE_ROWS
    )
    return _train("towers", towers_encoder(sources), TOWERS, spec, folder, rows)


def default_model(folder: str, sources: int) -> dict[str, Any]:
    """The default model with the default settings, likewise."""
    spec = TrainingSpec(epochs=1)
    return _train("exit", exit_encoder(sources), ModelSpec(), spec, folder, None)


def _train(
    name: str, encoder: Encoder, model_spec: ModelSpec, spec: TrainingSpec, folder: str,
    rows: int | None,
) -> dict[str, Any]:  # fmt: skip
    k = len(encoder.spec.sources)
    train = read(Path(folder), "train", k, rows)
    validation = read(Path(folder), "validation", k)
    # The first optimizer imports packages for a CPU second; the peers' are made before their time.
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])
    with reproducible(spec.seed, 1):
        model = MODELS[name](encoder, model_spec)
        with watched() as found:
            model.survey(train.batches(SCORE_ROWS))
            history = fit(model, train, validation, model_spec, spec, CPU)
    best = min(epoch.validation_logloss for epoch in history)
    return {**found, "rows": len(train) * len(history), "logloss": best}


def loader(folder: str) -> dict[str, Any]:
    """Reads the epoch's batches and does nothing with them."""
    rows, spec = read(Path(folder), "train", 1), TrainingSpec()
    with reproducible(spec.seed, 1), watched() as found:
        for _ in rows.shuffled(BATCH, spec.shuffle_buffer, spec.seed, 0):
            pass
    return {**found, "rows": len(rows)}


def _report(
    config: dict[str, Any], found: dict[str, dict[str, Any]], quality: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    logloss = {n: t["logloss"] for n, t in quality.items() if n in (*LEARN, *MODULES)}
    floor = found.pop("floor")
    rate = {name: told["rows"] / told["cpu_s"] / 1000 for name, told in found.items()}

    def over(one: str, other: str, rates: Mapping[str, float] = rate) -> float | None:
        return rates[one] / rates[other] if one in rates and other in rates else None

    peers = {name: found.pop(name, None) for name in MODULES}
    return report(
        "training", config, found, floor, peers,
        {
            "speedup_rechub_fp32": over("fp32", "rechub"),
            "speedup_rechub_bf16": over("bf16", "rechub"),
            "speedup_deepctr": over("fp32", "deepctr"),
            "floor_share_fp32": over("fp32", "floor", rate | {"floor": floor["fp32"]}),
            "loader_share": over("fp32", "loader"),
            "growth_sources_16_1": over("fp32", "sources_16"),
        },
        {
            "floor_share_bf16": over("bf16", "floor", rate | {"floor": floor.get("bf16")}),
            "growth_sources_16_1_exit": over("exit_1", "exit_16"),
            **{f"k_rows_per_cpu_s_{name}": round(value, 1) for name, value in rate.items()},
            **{f"logloss_{name}": round(value, 4) for name, value in logloss.items()},
            "rss_mb": found["fp32"]["rss_mb"],
            "rss_mb_tenfold": found["tenfold"]["rss_mb"],
        },
    )  # fmt: skip
