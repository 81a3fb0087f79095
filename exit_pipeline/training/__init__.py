"""Training: rows into batches, the loop, calibration, and the files of a trained model."""

from exit_pipeline.training.artifact import TrainedModel, load_model, save_model
from exit_pipeline.training.split import Split, split_days
from exit_pipeline.training.train import train_model

__all__ = ["Split", "TrainedModel", "load_model", "save_model", "split_days", "train_model"]
