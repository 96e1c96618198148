"""DICOM: one row per instance, from the header alone; pixels and waveforms are never read."""

from __future__ import annotations

from ingestion.sources.dicom.reader import DicomSource

__all__ = ["DicomSource"]
