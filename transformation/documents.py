"""Generated documents: those in the repository (dictionary, contract), and dbt's pages for the hub."""

from __future__ import annotations

from pathlib import Path

from lakehouse.settings import Settings
from transformation import contract, dbt_runner, dictionary

#: Folder below ``<home>``: each folder in it is a set of pages that the hub serves.
SITE = "site"
_DBT_DOCS = "dbt-docs"
_MADE_FROM = "made-from"


def write_documents(*, check: bool = False) -> list[Path]:
    """Write the generated documents; returns those that differed. With ``check`` writes nothing.

    Raises :class:`lakehouse.errors.ConfigurationError` where the contract changed more than its
    version says.
    """
    changed = contract.write_contract(check=check)
    if dictionary.write_dictionary(check=check):
        changed.append(dictionary.DICTIONARY)
    return changed


def write_dbt_docs(settings: Settings, *, anew: bool = False) -> Path | None:
    """Write dbt's documentation for the hub; None where the models are as when it was written.

    Columns and types come from the lake, so write it after a build. Takes some seconds. Raises
    :class:`lakehouse.errors.BuildError` where dbt cannot read the lake.
    """
    folder = settings.home / SITE / _DBT_DOCS
    mark = folder / _MADE_FROM
    state = dbt_runner.project_fingerprint()
    if not anew and mark.exists() and mark.read_text(encoding="utf-8") == state:
        return None
    page = dbt_runner.generate_docs(settings, folder)
    mark.write_text(state, encoding="utf-8")
    return page
