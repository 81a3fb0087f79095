"""The model: interest prediction (IPN), scene selection (SSN), and how they are combined."""

from exit_pipeline.model.encoders import Encoder
from exit_pipeline.model.exit import Exit
from exit_pipeline.model.inputs import Batch, InputSpec, Outputs
from exit_pipeline.model.target_only import TargetOnly

# Every model has one signature: (encoder, settings) → module from a batch to named outputs.
MODELS: dict[str, type[Exit] | type[TargetOnly]] = {"exit": Exit, "target_only": TargetOnly}

__all__ = ["MODELS", "Batch", "Encoder", "Exit", "InputSpec", "Outputs", "TargetOnly"]
