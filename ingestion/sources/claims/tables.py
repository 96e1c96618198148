"""What files of claims and enrolment become in Bronze.

Every layout ends in the same two tables: which of its columns is which column here is data
(``mappings/*.yml``). The row as it was written is kept beside it.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from ingestion.tables import BronzeTable, Column

#: Amounts and quantities. What a file writes with more digits (floats that were printed) is rounded.
NUMBER: Final = pa.decimal128(18, 4)

CODES: Final = pa.list_(
    pa.struct(
        [
            pa.field("kind", pa.string()),
            pa.field("sequence", pa.int32()),
            pa.field("code", pa.string()),
            pa.field("version", pa.string()),
            pa.field("present_on_admission", pa.string()),
            pa.field("performed_on", pa.date32()),
        ]
    )
)

_CODE: Final = {
    "claim_type": "Kind of claim, in the code of the source.",
    "service_setting": "Setting that the layout stands for (inpatient, professional, pharmacy, …).",
    "bill_type": "Type of bill (UB-04, form locator 4), without its frequency.",
    "frequency_code": "Frequency of the bill (UB-04): 1 original, 7 replacement, 8 void, ….",
    "action_code": "What the version does to the claim, in the code of the source.",
    "disposition_code": "What became of the claim, in the code of the source.",
    "denial_code": "Why nothing was paid, in the code of the source.",
    "status_code": "Where the claim stands, in the code of the source.",
    "final_action": "Whether the source calls it the final action, as written.",
    "drg_code": "Diagnosis related group.",
    "discharge_status": "Discharge status (UB-04, form locator 17).",
    "admission_type": "Type of admission (UB-04, form locator 14).",
    "admission_source": "Point of origin (UB-04, form locator 15).",
    "procedure_code": "HCPCS or CPT code of the line.",
    "procedure_system": "Code system of the line's procedure, where it is not HCPCS.",
    "revenue_code": "Revenue centre of the line.",
    "place_of_service": "Place of service of the line (CMS code).",
    "ndc_code": "National drug code of the line, as written.",
    "transaction_type": "What a transaction does (CHARGE, PAYMENT, …).",
    "transaction_method": "How a payment was made, in the code of the source.",
    "line_denial_code": "Why the line was not paid, in the code of the source.",
}
_TEXT: Final = {
    "claim_number": "Number of the claim, as the source has it.",
    "claim_group": "Number that the versions of one claim share, where the source has one.",
    "control_number": "Control number of the payer.",
    "replaces_number": "Control number or claim number of the version that this one replaces.",
    "patient_id": "Member or beneficiary.",
    "payer": "Payer.",
    "plan": "Plan of the payer.",
    "encounter_id": "Encounter in which it was done.",
    "billing_provider": "Who bills.",
    "facility": "Facility.",
    "attending_provider": "Who was responsible.",
    "rendering_provider": "Who did what the line says.",
    "line_number": "Number of the line within the claim.",
    "line_diagnosis_code": "Diagnosis of the line, as written.",
    "line_diagnosis_version": "Revision of ICD of the line's diagnosis: 0 for 10, 9 for 9.",
}
_DATE: Final = {
    "from_date": "First day that the claim covers.",
    "thru_date": "Last day that the claim covers.",
    "admission_date": "Day of admission.",
    "discharge_date": "Day of discharge.",
    "processed_date": "Day from which this version holds: it was processed then.",
    "superseded_date": "Day from which another version holds, where the source says so.",
    "paid_date": "Day of the payment.",
    "line_from_date": "First day of the line.",
    "line_thru_date": "Last day of the line.",
}
_NUMBER: Final = {
    "charge_amount": "Charged for the whole claim.",
    "allowed_amount": "Allowed for the whole claim.",
    "paid_amount": "Paid by the payer for the whole claim.",
    "patient_amount": "What the patient owes or paid for the whole claim.",
    "deductible_amount": "Deductible of the whole claim.",
    "coinsurance_amount": "Coinsurance and copayment of the whole claim.",
    "other_payer_amount": "Paid by another payer for the whole claim.",
    "line_charge_amount": "Charged for the line.",
    "line_allowed_amount": "Allowed for the line.",
    "line_paid_amount": "Paid by the payer for the line.",
    "line_patient_amount": "What the patient owes or paid for the line.",
    "line_deductible_amount": "Deductible of the line.",
    "line_coinsurance_amount": "Coinsurance and copayment of the line.",
    "line_adjustment_amount": "Adjustments of the line.",
    "units": "Units of service.",
    "drug_quantity": "Quantity that was dispensed.",
    "days_supply": "Days that the drug lasts.",
}

#: A claim comes as one row a line with the claim's values on each, or as several tables of its own.
CLAIM_ROW: Final = BronzeTable(
    name="claim_row",
    description="Rows of claims files as they arrived: one row per row of a file and arrival.",
    key=("claim_id", "row_key"),
    deleted="is_deleted",
    sorted_by=("claim_id",),
    position="Row of the file, from 1 behind its header.",
    columns=(
        Column("claim_id", pa.string(), "Claim: the source's system and its key of a claim."),
        Column("row_key", pa.string(), "What the row is within the claim: its part and number."),
        Column("layout", pa.string(), "Layout of the file.", sample=True),
        Column("layout_version", pa.string(), "Version of the layout.", sample=True),
        Column("system", pa.string(), "System of the source.", sample=True),
        Column("part", pa.string(), "claim, line, claim_line (both), code, transaction or set.", sample=True),
        Column("is_deleted", pa.bool_(), "Whether the row takes the claim's row back.", sample=True),
        *(Column(name, pa.string(), text) for name, text in _TEXT.items()),
        *(Column(name, pa.string(), text, sample=True) for name, text in _CODE.items()),
        *(Column(name, pa.date32(), text) for name, text in _DATE.items()),
        *(Column(name, NUMBER, text) for name, text in _NUMBER.items()),
        Column("modifiers", pa.list_(pa.string()), "Modifiers of the line's procedure.", sample=True),
        Column("codes", CODES, "Diagnoses and procedures of the claim, as written."),
        Column("record", pa.large_string(), "The row as JSON: each filled column by its name, as written."),
    ),
)  # fmt: skip

#: A later delivery of the same span corrects its end.
ENROLLMENT_ROW: Final = BronzeTable(
    name="enrollment_row",
    description="Spans of enrolment as they arrived: one row per member, payer, plan and start.",
    key=("member_id", "enrollment_key"),
    sorted_by=("member_id",),
    position="Row of the file, from 1 behind its header.",
    columns=(
        Column("member_id", pa.string(), "Member or beneficiary."),
        Column("enrollment_key", pa.string(), "Payer, plan and start: what tells spans apart."),
        Column("layout", pa.string(), "Layout of the file.", sample=True),
        Column("layout_version", pa.string(), "Version of the layout.", sample=True),
        Column("payer", pa.string(), "Payer."),
        Column("payer_type", pa.string(), "Kind of payer, as written.", sample=True),
        Column("plan", pa.string(), "Plan."),
        Column("started_on", pa.date32(), "First day of the enrolment."),
        Column("ended_on", pa.date32(), "Last day of the enrolment; null where it has not ended."),
        Column("months", pa.list_(pa.int8()), "Months of the year of entitlement; null: all of the span.", sample=True),
        Column("record", pa.large_string(), "The row as JSON, as written."),
    ),
)  # fmt: skip

#: Columns of :data:`CLAIM_ROW` that a mapping may fill, by their type.
TEXTS: Final = frozenset({*_TEXT, *_CODE})
DATES: Final = frozenset(_DATE)
NUMBERS: Final = frozenset(_NUMBER)
