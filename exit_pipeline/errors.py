"""Every error that the project raises on purpose: what happened, where, and how to mend it."""

from __future__ import annotations

from typing import Self


class ExitPipelineError(Exception):
    """Base of all errors of this project.

    Args:
        what: What happened, in one sentence.
        where: The file, table, column or setting concerned.
        mend: What the reader can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        self.what, self.where, self.mend = what, where, mend
        super().__init__(what)

    def __str__(self) -> str:
        parts = [self.what]
        if self.where:
            parts.append(f"  where: {self.where}")
        if self.mend:
            parts.append(f"  mend:  {self.mend}")
        return "\n".join(parts)

    @classmethod
    def read(cls, text: str) -> Self:
        """Takes apart what `str` put together: how an error comes back from another process."""
        what, _, rest = text.partition("\n  where: ")
        body, _, mend = (rest or what).partition("\n  mend:  ")
        return cls(what, where=body, mend=mend) if rest else cls(body, mend=mend)

    def __reduce__(self) -> tuple:
        # Dagster's multiprocess executor sends exceptions between processes.
        return (_rebuild, (type(self), self.what, self.where, self.mend))


def _rebuild(kind: type[ExitPipelineError], what: str, where: str, mend: str) -> ExitPipelineError:
    return kind(what, where=where, mend=mend)


class UsageError(ExitPipelineError):
    """A command was given arguments that do not fit (exit code 2)."""

    exit_code = 2


class ProfileError(UsageError):
    """A profile is wrong: unknown key, bad value, missing adapter."""


class SettingsError(UsageError):
    """An `EXIT_…` environment variable has an unusable value."""


class LandingError(ExitPipelineError):
    """A landing file is missing, unreadable, truncated or has the wrong columns."""


class ContractError(ExitPipelineError):
    """Data breaks the log contract as a whole (types, columns, too many broken rows)."""


class LakeError(ExitPipelineError):
    """A lake table is missing, locked by another writer or cannot be written."""


class NotMatureError(ExitPipelineError):
    """A label day was asked for before the day that matures it has landed."""


class ValidationError(ExitPipelineError):
    """A validation suite found bad data."""


class ValidationRunError(ExitPipelineError):
    """A validation suite could not be run; this says nothing about the data."""


class TrainingError(ExitPipelineError):
    """Training cannot start or went wrong (no rows, one class only, loss not finite)."""


class ModelFileError(ExitPipelineError):
    """A model file is missing or its hash does not match its description."""


class RegistryError(ExitPipelineError):
    """The model registry has no such version or alias, or cannot be read."""


class ChampionChanged(RegistryError):
    """Another version is champion than the one that a promotion or rollback was decided about."""


class GateRefusal(ExitPipelineError):
    """A promotion gate refused a model (exit code 3)."""

    exit_code = 3
