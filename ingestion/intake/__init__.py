"""Intake: closed drops in the inbox become registered, immutable submissions.

Everything happens in :func:`intake`; the sensor, the asset and the command line call it alike.
"""

from ingestion.intake.inbox import anything_pending, intake, pending_groups
from ingestion.intake.report import Duplicate, IntakeReport, OpenGroup, Refused, Registered
from ingestion.intake.retake import retake
from ingestion.intake.review import resolve_review
from ingestion.intake.withdraw import Withdrawal, withdraw

__all__ = [
    "Duplicate",
    "IntakeReport",
    "OpenGroup",
    "Refused",
    "Registered",
    "Withdrawal",
    "anything_pending",
    "intake",
    "pending_groups",
    "resolve_review",
    "retake",
    "withdraw",
]
