"""What is tried again, and what would only fail again."""

from collections.abc import Iterator
from contextlib import contextmanager

from dagster import Backoff, Failure, RetryPolicy

from exit_pipeline.errors import ContractError, LandingError, TrainingError, UsageError

# Disks, MLflow and other stores outside this process may be away for a moment.
RETRY = RetryPolicy(max_retries=2, delay=5, backoff=Backoff.EXPONENTIAL)
_DECIDED = (ContractError, LandingError, TrainingError, UsageError)


@contextmanager
def decided() -> Iterator[None]:
    """Lets a step fail at once where its rows or its settings are at fault: they stay as they are.

    Raises:
        Failure: With the error behind it, which is what is told.
    """
    try:
        yield
    except _DECIDED as error:
        raise Failure(str(error), allow_retries=False) from error
