"""Rules and limits of one installation, per submitter and file type: the YAML file of ``QUALITY_RULES``.

    minimum_rows: 30               # rows from which a share can be an error; default for all rules
    limits:
      - submitter: mimic           # either may be absent: any
        file_type: fhir            # as the drop names it, or as one of its files is
        why: Dates are shifted to 2100-2200.
        rules:
          silver.patient.birth_date_plausible: {latest: "2210"}
          silver.observation.heart_rate: {maximum: 300}    # both its warning and its error
          silver.encounter.age_plausible: off
        add:
          silver.patient:
            - {kind: not_null, column: zip, severity: error, tolerance: 0.5, why: Needed by the study.}

An entry without submitter and file type changes the rules for everybody. A later entry wins. Only
rules that are judged on a submission's own rows can have limits of somebody's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import yaml

from lakehouse.errors import QualityError
from quality import suites
from quality.suites import MINIMUM_ROWS, Layer, Rule, Suite

#: What an entry may change of a rule.
_CHANGEABLE = frozenset(
    {
        *("severity", "tolerance", "at_least", "at_most", "minimum_rows", "where"),
        *("minimum", "maximum", "earliest", "latest", "values", "condition"),
    }
)
_JUDGED: tuple[Layer, ...] = ("bronze", "silver")


@dataclass(frozen=True)
class Entry:
    """What holds for the submissions of one submitter and file type; None is any.

    ``changes`` maps (table, rule) to the keys that differ, or to None where the rule is off.
    """

    submitter: str | None
    file_type: str | None
    changes: Mapping[tuple[str, str], Mapping[str, Any] | None] = field(default_factory=dict)
    added: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)

    @property
    def is_for_all(self) -> bool:
        return self.submitter is None and self.file_type is None

    def concerns(self, submitter: str, file_types: Iterable[str]) -> bool:
        return self.submitter in (None, submitter) and (
            self.file_type is None or self.file_type in file_types
        )


@dataclass(frozen=True)
class OwnRules:
    """The entries of the file, in its order."""

    minimum_rows: int = MINIMUM_ROWS
    entries: tuple[Entry, ...] = ()

    def suites(self, layer: Layer) -> tuple[Suite, ...]:
        """The layer's suites as they are for everybody."""
        return tuple(
            self._applied(
                replace(
                    suite,
                    rules=tuple(
                        replace(rule, minimum_rows=self.minimum_rows)
                        if rule.minimum_rows == MINIMUM_ROWS
                        else rule
                        for rule in suite.rules
                    ),
                ),
                [entry for entry in self.entries if entry.is_for_all],
            )
            for suite in suites.load(layer)
        )

    def suite_of(self, suite: Suite, submitter: str, file_types: Iterable[str]) -> Suite:
        """One of :meth:`suites` as it is for the submissions of this submitter and these types."""
        types = set(file_types)
        return self._applied(
            suite,
            [
                entry
                for entry in self.entries
                if not entry.is_for_all and entry.concerns(submitter, types)
            ],
        )

    def _applied(self, suite: Suite, entries: Sequence[Entry]) -> Suite:
        if not entries:
            return suite
        rules = list(suite.rules)
        for entry in entries:
            rules = [
                _changed(rule, entry.changes[suite.name, key]) if key is not None else rule
                for rule in rules
                for key in [_key(rule, suite.name, entry.changes)]
                if key is None or entry.changes[suite.name, key] is not None
            ]
            rules += entry.added.get(suite.name, ())
        return replace(suite, rules=tuple(rules))


def _key(
    rule: Rule, table: str, changes: Mapping[tuple[str, str], Mapping[str, Any] | None]
) -> str | None:
    """The name by which an entry changes this rule: its own, or its family's."""
    return next((name for name in (rule.name, rule.family) if (table, name) in changes), None)


def _changed(rule: Rule, change: Mapping[str, Any] | None) -> Rule:
    values = dict(change or {})
    if "values" in values:
        values["values"] = tuple(values["values"])
    for key in ("earliest", "latest"):
        if key in values:
            values[key] = str(values[key])
    return replace(rule, **values)


def read(path: Path | None) -> OwnRules:
    """The installation's own rules; none without a file.

    Raises :class:`QualityError` that names the file, the entry and what is wrong with it.
    """
    if path is None:
        return OwnRules()
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise QualityError(
            f"QUALITY_RULES names a file that cannot be read: {path} ({error.strerror}).",
            hint="Correct the path, or unset QUALITY_RULES.",
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise _wrong(path, f"it is not YAML{line}") from error
    document = {} if document is None else document  # an empty file
    if not isinstance(document, dict) or set(document) - {"minimum_rows", "limits"}:
        raise _wrong(path, "it may have `minimum_rows` and `limits`, nothing else")
    minimum_rows = document.get("minimum_rows", MINIMUM_ROWS)
    if not isinstance(minimum_rows, int) or minimum_rows < 1:
        raise _wrong(path, "`minimum_rows` is no number of rows")
    entries = document.get("limits") or []
    if not isinstance(entries, list):
        raise _wrong(path, "`limits` is no list")
    return OwnRules(
        minimum_rows,
        tuple(_entry(entry, path, number) for number, entry in enumerate(entries, start=1)),
    )


def _entry(entry: Any, path: Path, number: int) -> Entry:
    place = f"limits, entry {number}"
    known = {"submitter", "file_type", "why", "rules", "add"}
    if not isinstance(entry, dict) or set(entry) - known:
        raise _wrong(path, f"{place} may have {', '.join(sorted(known))}, nothing else")
    if not (entry.get("rules") or entry.get("add")):
        raise _wrong(path, f"{place} has neither `rules` nor `add`")
    changes = {}
    for name, change in (entry.get("rules") or {}).items():
        table, _, rule = str(name).rpartition(".")
        changes[table, rule] = _change(table, rule, change, f"{place}, {name}", path)
    added = {
        str(table): _added(str(table), rules, place, path)
        for table, rules in (entry.get("add") or {}).items()
    }
    return Entry(_text(entry.get("submitter")), _text(entry.get("file_type")), changes, added)


def _change(table: str, name: str, change: Any, place: str, path: Path) -> Mapping[str, Any] | None:
    """The keys that differ; None where the rule is off."""
    rules = [rule for rule in _suite(table, place, path).rules if name in (rule.name, rule.family)]
    if not rules:
        raise _wrong(path, f"{place}: there is no such rule; `lakehouse check --all` lists them")
    judged = [rule.by_submission for rule in rules]
    if not all(judged):
        raise _wrong(path, f"{place} is a rule of the whole table, not of a submission's rows")
    if change is False:  # YAML reads `off` so
        return None
    if not isinstance(change, dict) or not change or set(change) - _CHANGEABLE:
        raise _wrong(path, f"{place} is `off`, or changes some of {', '.join(sorted(_CHANGEABLE))}")
    for rule in rules:
        try:
            suites.refuse_impossible(_changed(rule, change))
        except (QualityError, TypeError, ValueError) as error:
            raise _wrong(path, f"{place}: {error}") from error
    return change


def _added(table: str, rules: Any, place: str, path: Path) -> tuple[Rule, ...]:
    suite = _suite(table, place, path)
    if not isinstance(rules, list):
        raise _wrong(path, f"{place}, add {table}: no list of rules")
    found = suites.parse_rules(rules, suite.layer, suite.table, f"{path.name}, {place}, {table}")
    taken = {rule.name for rule in suite.rules}
    for rule in found:
        if rule.name in taken:
            raise _wrong(path, f"{place}: {table}.{rule.name} is there; change it under `rules`")
        if not rule.by_submission:
            raise _wrong(path, f"{place}: {table}.{rule.name} is no rule of a submission's rows")
    return tuple(found)


def _suite(table: str, place: str, path: Path) -> Suite:
    layer, _, name = table.partition(".")
    if layer in _JUDGED:
        for suite in suites.load(cast("Layer", layer)):
            if suite.table == name:
                return suite
    raise _wrong(
        path, f"{place}: no table of Bronze or Silver that has rules; name it silver.patient"
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _wrong(path: Path, what: str) -> QualityError:
    return QualityError(
        f"The rules of {path.name} (QUALITY_RULES) cannot be used: {what}.",
        hint="docs/how-to/add-a-check.md shows such a file.",
    )
