"""The model: interest prediction (IPN), scene selection (SSN), and how they are combined."""

from exit_pipeline.model.base import Model
from exit_pipeline.model.encoders import Encoder
from exit_pipeline.model.exit import Exit
from exit_pipeline.model.inputs import Batch, InputSpec, Outputs
from exit_pipeline.model.minet import MiNet
from exit_pipeline.model.mmoe import MMoE
from exit_pipeline.model.pepnet import PEPNet
from exit_pipeline.model.ple import PLE
from exit_pipeline.model.shared_bottom import SharedBottom
from exit_pipeline.model.single import Features, TargetOnly
from exit_pipeline.model.star import STAR
from exit_pipeline.model.towers import Towers

# Every model has one signature: (encoder, settings) → module from a batch to named outputs.
MODELS: dict[str, type[Model]] = {
    "exit": Exit,
    "target_only": TargetOnly,
    "features": Features,
    "shared_bottom": SharedBottom,
    "mmoe": MMoE,
    "ple": PLE,
    "star": STAR,
    "pepnet": PEPNet,
    "minet": MiNet,
    "towers": Towers,
}

__all__ = ["MODELS", "Batch", "Encoder", "Exit", "InputSpec", "Outputs"]
