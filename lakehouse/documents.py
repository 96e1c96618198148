"""All generated documents in one call: data dictionary and corpus contract."""

from __future__ import annotations

from pathlib import Path

from lakehouse import contract, dictionary


def write_documents(*, check: bool = False) -> list[Path]:
    """Write the generated documents; returns those that differed. With ``check`` writes nothing.

    Raises :class:`lakehouse.errors.ConfigurationError` where the contract changed more than its
    version says.
    """
    changed = contract.write_contract(check=check)
    if dictionary.write_dictionary(check=check):
        changed.append(dictionary.DICTIONARY)
    return changed
