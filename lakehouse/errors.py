"""The errors of the platform: one small hierarchy.

A message names the file, position and rule at fault and says what to do next. It never carries an
identifier of a patient, note text or a patient's file name: such values go through
:func:`lakehouse.privacy.ref` first.
"""

from __future__ import annotations

from typing import ClassVar


class LakehouseError(Exception):
    """Base of every error raised on purpose by this project.

    ``hint`` says what a person can do next; it is shown on its own line. ``exit_code`` is what the
    command line ends with: 1 for what failed, 2 for what was asked wrongly.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.hint}" if self.hint else self.message


class ConfigurationError(LakehouseError):
    """A setting is missing, still a placeholder, or contradicts another one."""


class NoLakehouse(ConfigurationError):
    """There is no lakehouse at LAKEHOUSE_HOME, and the command is none that makes one."""

    exit_code = 2


class StorageError(LakehouseError):
    """The object store refused or failed."""


class ObjectNotFound(StorageError):
    """No object has this key."""


class ObjectExists(StorageError):
    """A conditional put found an object already there."""


class AccessDenied(StorageError):
    """The object store knows the request but does not allow it (credentials, policy, lock)."""


class StorageUnavailable(StorageError):
    """The object store did not answer within the bounded retries."""


class UnknownName(LakehouseError):
    """Nothing has the id or name that was given."""

    exit_code = 2


class IntakeError(LakehouseError):
    """A drop could not be registered."""


class PullError(LakehouseError):
    """A source that is pulled did not answer, or not what it should; the next pull asks again."""


class UnknownSubmission(IntakeError, UnknownName):
    """No submission has this id."""


class InputRejected(LakehouseError):
    """One file or record cannot be taken; it goes to quarantine and everything else goes on."""

    def __init__(
        self, message: str, *, reason: str, position: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.position = position


class LandingError(LakehouseError):
    """A submission could not be landed in Bronze."""


class MetadataError(LakehouseError):
    """The metadata database holds what cannot be: an audit trail that was tampered with."""


class LakeError(LakehouseError):
    """The lake (DuckLake, its catalog or its files) refused or failed."""


class WriteConflict(LakeError):
    """A transaction kept conflicting with other writers after every retry."""


class BuildError(LakehouseError):
    """dbt could not build a layer."""


class QualityError(LakehouseError):
    """A suite is wrong, or a check could not be evaluated."""

    exit_code = 3


class PublishError(LakehouseError):
    """A publish was blocked or failed; what readers see is unchanged."""
