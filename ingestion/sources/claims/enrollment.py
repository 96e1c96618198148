"""Enrolment: spans as a payer's table has them, and years with a mark for each month."""

from __future__ import annotations

from datetime import date
from typing import Final

from ingestion.reasons import Reason
from ingestion.sources.claims.mapping import Reading, written
from ingestion.sources.delimited import Row
from lakehouse.errors import InputRejected

#: Entitlement and buy-in: 0 is none; 1, 2, 3 are parts A, B and both; A, B, C the same, paid by the state
#: (https://resdac.org/cms-data/variables/medicare-entitlementbuy-indicator-january).
_ENTITLED: Final = frozenset("123ABC")
_MONTHS: Final = range(1, 13)


def span(row: Row) -> dict[str, object]:
    """One span of ``enrollment_row``: its end is null while it goes on."""
    reading = Reading(row, frozenset())
    reading.check()
    started = row.date("enrollment_start_date", required=True)
    ended = row.date("enrollment_end_date")
    if started is not None and ended is not None and ended < started:
        raise InputRejected(
            "enrollment_end_date is before enrollment_start_date.", reason=Reason.INVALID_VALUE
        )
    payer, plan = row.text("payer"), row.text("plan")
    return {
        "member_id": row.text("member_id", required=True),
        "enrollment_key": "|".join([payer or "", plan or "", str(started)]),
        "layout": row.layout.name,
        "layout_version": row.layout.version,
        "payer": payer,
        "payer_type": row.text("payer_type"),
        "plan": plan,
        "started_on": started,
        "ended_on": ended,
        "months": None,
        "record": written(row),
    }


def year(row: Row) -> dict[str, object]:
    """One year of a beneficiary, with the months in which he was entitled."""
    reading = Reading(row, frozenset())
    reading.check()
    number = row.integer("RFRNC_YR", bits=16)
    number = row.integer("BENE_ENROLLMT_REF_YR", bits=16) if number is None else number
    if number is None or not 1900 <= number <= 2200:
        raise InputRejected("The reference year is missing.", reason=Reason.MISSING_VALUE)
    return {
        "member_id": row.text("BENE_ID", required=True),
        "enrollment_key": f"Medicare||{number}",
        "layout": row.layout.name,
        "layout_version": row.layout.version,
        "payer": "Medicare",
        "payer_type": "medicare",
        "plan": None,
        "started_on": date(number, 1, 1),
        "ended_on": date(number, 12, 31),
        "months": [
            month
            for month in _MONTHS
            if row.text(f"MDCR_ENTLMT_BUYIN_IND_{month:02d}") in _ENTITLED
        ],
        "record": written(row),
    }
