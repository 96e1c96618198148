"""Claims in Silver and Gold: amounts once, versions and their states, lines, months, stays.

All inputs are one drop and one build; what later drops change is built after it.
"""

# ruff: noqa: E501, SIM905 - files of tables have long lines

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingestion.sources import Batch, StagedFile
from ingestion.sources.claims import read_file
from lakehouse.settings import Settings
from lakehouse.store import LocalStore
from tests.integration.dbt.bronze import Arrival, Silver
from tests.integration.dbt.conftest import fresh_silver

MODELS = "+claims_cost_monthly +claims_stay_monthly +claim_line"

_CARRIER = "DML_IND BENE_ID CLM_ID CLM_GRP_ID FINAL_ACTION CLM_FROM_DT CLM_THRU_DT NCH_WKLY_PROC_DT CARR_CLM_ENTRY_CD CARR_NUM CARR_CLM_PMT_DNL_CD CLM_PMT_AMT PRNCPAL_DGNS_CD PRNCPAL_DGNS_VRSN_CD ICD_DGNS_CD1 ICD_DGNS_VRSN_CD1 LINE_NUM HCPCS_CD LINE_NCH_PMT_AMT CARR_LINE_MTUS_CNT".split()  # fmt: skip
_INPATIENT = "BENE_ID CLM_ID FINAL_ACTION CLM_FROM_DT CLM_THRU_DT FI_CLM_PROC_DT CLM_FAC_TYPE_CD CLM_SRVC_CLSFCTN_TYPE_CD CLM_FREQ_CD CLM_MDCR_NON_PMT_RSN_CD CLM_PMT_AMT CLM_ADMSN_DT NCH_BENE_DSCHRG_DT PTNT_DSCHRG_STUS_CD CLM_PASS_THRU_PER_DIEM_AMT CLM_LINE_NUM REV_CNTR REV_CNTR_TOT_CHRG_AMT".split()  # fmt: skip
_PLAIN = "claim_id claim_line_number member_id payer claim_type bill_type_code original_claim_id claim_status claim_start_date claim_end_date processed_date paid_amount charge_amount revenue_center_code hcpcs_code".split()  # fmt: skip
_IDR = "GEO_BENE_SK CLM_DT_SGNTR_SK CLM_TYPE_CD CLM_NUM_SK".split()


def _carrier(claim: str, line: str, paid: str, line_paid: str, **more: str) -> dict[str, str]:
    return {
        "DML_IND": "INSERT", "BENE_ID": "P1", "CLM_ID": claim, "CLM_GRP_ID": claim, "FINAL_ACTION": "F",
        "CLM_FROM_DT": "02-JAN-2024", "CLM_THRU_DT": "03-JAN-2024", "NCH_WKLY_PROC_DT": "10-JAN-2024",
        "CARR_CLM_ENTRY_CD": "1", "CARR_NUM": "1", "CARR_CLM_PMT_DNL_CD": "1", "CLM_PMT_AMT": paid,
        "PRNCPAL_DGNS_CD": "S52.501", "PRNCPAL_DGNS_VRSN_CD": "0", "ICD_DGNS_CD1": "4019", "ICD_DGNS_VRSN_CD1": "9",
        "LINE_NUM": line, "HCPCS_CD": "99213", "LINE_NCH_PMT_AMT": line_paid, "CARR_LINE_MTUS_CNT": "1",
    } | more  # fmt: skip


def _inpatient(claim: str, admitted: str, left: str, **more: str) -> dict[str, str]:
    return {
        "BENE_ID": "P1", "CLM_ID": claim, "FINAL_ACTION": "F", "CLM_FROM_DT": admitted, "CLM_THRU_DT": left,
        "FI_CLM_PROC_DT": left, "CLM_FAC_TYPE_CD": "1", "CLM_SRVC_CLSFCTN_TYPE_CD": "1", "CLM_FREQ_CD": "1",
        "CLM_PMT_AMT": "1000.00", "CLM_ADMSN_DT": admitted, "NCH_BENE_DSCHRG_DT": left, "PTNT_DSCHRG_STUS_CD": "01",
        "CLM_PASS_THRU_PER_DIEM_AMT": "0", "CLM_LINE_NUM": "1", "REV_CNTR": "0120", "REV_CNTR_TOT_CHRG_AMT": "2000",
    } | more  # fmt: skip


def _plain(claim: str, line: str, paid: str, **more: str) -> dict[str, str]:
    return {
        "claim_id": claim, "claim_line_number": line, "member_id": "M1", "payer": "North", "claim_type": "institutional",
        "bill_type_code": "0131", "claim_start_date": "2024-02-01", "claim_end_date": "2024-02-01",
        "processed_date": "2024-02-10", "paid_amount": paid, "charge_amount": "100", "hcpcs_code": "g0008",
    } | more  # fmt: skip


FILES: Mapping[str, Sequence[Mapping[str, str]]] = {
    "cms_rif_carrier": [
        # one claim of three lines: its payment stands on each
        *(_carrier("c-lines", str(n), "150.50", amount) for n, amount in enumerate(["100.25", "50.25", "0"], 1)),
        # an original and what replaced it, in one group
        _carrier("c-v1", "1", "80", "80", CLM_GRP_ID="G", FINAL_ACTION="N", NCH_WKLY_PROC_DT="10-JAN-2024"),
        _carrier("c-v2", "1", "60", "60", CLM_GRP_ID="G", CARR_CLM_ENTRY_CD="5", NCH_WKLY_PROC_DT="10-MAR-2024"),
        # one that was cancelled
        _carrier("c-w1", "1", "40", "40", CLM_GRP_ID="W", FINAL_ACTION="N"),
        _carrier("c-w2", "1", "40", "40", CLM_GRP_ID="W", CARR_CLM_ENTRY_CD="3", NCH_WKLY_PROC_DT="01-FEB-2024"),
        # denied; and two final actions that share a number of a group, which is none
        _carrier("c-denied", "1", "0", "0", CARR_CLM_PMT_DNL_CD="0", CLM_GRP_ID="900"),
        _carrier("c-final", "1", "5", "5", CLM_GRP_ID="900"),
    ],
    "cms_rif_inpatient": [
        _inpatient("i-1", "01-MAR-2024", "05-MAR-2024"),
        _inpatient("i-transfer", "06-MAR-2024", "09-MAR-2024"),
        _inpatient("i-again", "20-MAR-2024", "20-MAR-2024"),
        _inpatient("i-later", "30-APR-2024", "02-MAY-2024", PTNT_DSCHRG_STUS_CD="20"),
        _inpatient("i-denied", "03-JUN-2024", "04-JUN-2024", CLM_MDCR_NON_PMT_RSN_CD="N", CLM_PMT_AMT="0"),
    ],
    "plain_medical": [
        _plain("A", "1", "70.00", revenue_center_code="0450"),
        _plain("A", "2", "10.00", revenue_center_code="250"),
        _plain("B", "1", "30.00", original_claim_id="A", claim_status="adjusted", processed_date="2024-04-01"),
        _plain("C", "1", "-30.00", original_claim_id="B", claim_status="reversed", processed_date="2024-05-01"),
        _plain("D", "1", "0", claim_type="professional", bill_type_code="", claim_status="Denied"),
    ],
    "cms_idr_clm": [dict(zip(_IDR, "9 8 60 1".split(), strict=True)) | {"CLM_CNTL_NUM": "k", "CLM_FINL_ACTN_IND": "Y", "BENE_SK": "P3", "CLM_PMT_AMT": "12.5", "CLM_FROM_DT": "2024-01-05", "CLM_THRU_DT": "2024-01-06", "CLM_EFCTV_DT": "2024-02-01"}],
    "cms_idr_clm_instnl": [dict(zip(_IDR, "9 8 60 1".split(), strict=True)) | {"CLM_FI_ACTN_CD": "1", "DGNS_DRG_CD": "470"}],
    "cms_idr_clm_line": [dict(zip(_IDR, "9 8 60 1".split(), strict=True)) | {"CLM_LINE_NUM": "1", "CLM_LINE_SBMT_CHRG_AMT": "3"}],
    "cms_idr_clm_prod": [dict(zip(_IDR, "9 8 60 1".split(), strict=True)) | {"CLM_PROD_TYPE_CD": "S", "CLM_VAL_SQNC_NUM": "1", "CLM_PRCDR_CD": "0SR9019", "CLM_DGNS_PRCDR_ICD_IND": "0"}],
    "synthea_claims": [{"Id": "s1", "PATIENTID": "P4", "DIAGNOSIS1": "195662009", "SERVICEDATE": "2024-01-27T16:17:47Z", "STATUS1": "CLOSED", "HEALTHCARECLAIMTYPEID1": "1"}],
    "synthea_claims_transactions": [
        {"ID": str(n), "CLAIMID": "s1", "CHARGEID": str(n), "TYPE": kind, "METHOD": method, "AMOUNT": amount, "PAYMENTS": paid, "PROCEDURECODE": "185345009"}
        for n, (kind, method, amount, paid) in enumerate([("CHARGE", "", "77.49", ""), ("TRANSFERIN", "", "77.49", ""), ("PAYMENT", "ECHECK", "", "50"), ("PAYMENT", "CASH", "", "27.49")])
    ],
    "plain_enrollment": [
        {"member_id": "P1", "payer": "X", "enrollment_start_date": "2023-12-15", "enrollment_end_date": "2024-02-03"},
        {"member_id": "P1", "payer": "Y", "enrollment_start_date": "2024-02-04", "enrollment_end_date": ""},
        {"member_id": "M1", "payer": "North", "enrollment_start_date": "2024-02-01", "enrollment_end_date": "2024-02-29"},
    ],
}  # fmt: skip
ORDER = {"cms_rif_carrier": _CARRIER, "cms_rif_inpatient": _INPATIENT, "plain_medical": _PLAIN}

_AMOUNT = {"currency": "USD"}
EOB: dict[str, Any] = {
    "resourceType": "ExplanationOfBenefit", "id": "e1", "status": "active", "use": "claim", "outcome": "complete",
    "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/claim-type", "code": "pharmacy"}]},
    "patient": {"reference": "Patient/p"}, "created": "2024-01-09", "insurer": {"display": "x"}, "provider": {"display": "y"},
    "insurance": [{"focal": True, "coverage": {"display": "North"}}], "claim": {"reference": "Claim/k1"},
    "billablePeriod": {"start": "2024-01-05", "end": "2024-01-05"},
    "diagnosis": [{"sequence": 1, "diagnosisCodeableConcept": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "e11.9"}]}}],
    "item": [{
        "sequence": 1, "productOrService": {"coding": [{"system": "http://hl7.org/fhir/sid/ndc", "code": "0002-8215-01"}]},
        "servicedDate": "2024-01-05", "net": {"value": 90.10, **_AMOUNT},
        "adjudication": [
            {"category": {"coding": [{"code": "benefit"}]}, "amount": {"value": 80.05, **_AMOUNT}},
            {"category": {"coding": [{"code": "copay"}]}, "amount": {"value": 10.05, **_AMOUNT}},
        ],
    }],
    "total": [{"category": {"coding": [{"code": "submitted"}]}, "amount": {"value": 90.10, **_AMOUNT}}],
    "payment": {"date": "2024-01-10", "amount": {"value": 80.05, **_AMOUNT}},
}  # fmt: skip
CLAIM: dict[str, Any] = {
    "resourceType": "Claim", "id": "k1", "status": "active", "use": "claim", "type": EOB["type"], "patient": {"reference": "Patient/p"},
    "created": "2024-01-06", "provider": {"display": "y"}, "priority": {"coding": [{"code": "normal"}]}, "insurance": EOB["insurance"],
    "billablePeriod": EOB["billablePeriod"], "item": [{"sequence": 1, "productOrService": EOB["item"][0]["productOrService"], "net": {"value": 90.10}}],
    "total": {"value": 90.10, **_AMOUNT},
}  # fmt: skip


class Claims:
    """Bronze rows of claims files, read as they are read from a drop."""

    def __init__(self, silver: Silver, folder: Path) -> None:
        self.silver = silver
        self._store = LocalStore(folder, Settings(privacy_key="key-of-the-tests"))
        self._count = 0

    def land(
        self, files: Mapping[str, Sequence[Mapping[str, str]]], arrivals: Sequence[Arrival] = ()
    ) -> str:
        found: dict[str, list[dict[str, Any]]] = {}
        for layout, rows in files.items():
            for table, read in self._read(layout, rows):
                found.setdefault(table, []).extend(read)
        return self.silver.land(arrivals, **found)

    def _read(
        self, layout: str, rows: Sequence[Mapping[str, str]]
    ) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        delimiter = "|" if layout.startswith("cms_rif") else ","
        names = ORDER.get(layout) or list(dict.fromkeys(name for row in rows for name in row))
        lines = [names, *([row.get(name, "") for name in names] for row in rows)]
        # A file of the layout: what makes it known is there, if empty.
        text = "\n".join(delimiter.join(line) for line in _known(layout, lines))
        self._count += 1
        info = self._store.put(f"raw/{self._count}", text.encode())
        staged = StagedFile(f"{layout}.csv", info.key, info.size, "claims_csv", layout, "1")
        for event in read_file(self._store, staged):
            if isinstance(event, Batch):
                yield event.table, event.rows.to_pylist()

    def all(self, query: str) -> list[tuple[Any, ...]]:
        return self.silver.connection.execute(query).fetchall()


def _known(layout: str, lines: list[list[str]]) -> list[list[str]]:
    from ingestion.intake import layouts

    marks = next(one for one in layouts.load() if one.name == layout).recognised_by
    there = {name.casefold() for name in lines[0]}
    missing = sorted(mark for mark in marks if mark not in there)
    return [lines[0] + missing, *(line + [""] * len(missing) for line in lines[1:])]


@pytest.fixture(scope="module")
def claims(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory, parsed_once: Path
) -> Iterator[Claims]:
    folder = tmp_path_factory.mktemp("claims")
    with fresh_silver(postgres_url, folder / "home", parsed_once) as silver:
        made = Claims(silver, folder / "store")
        made.land(FILES, [Arrival(EOB), Arrival(CLAIM)])
        silver.build(select=MODELS)
        yield made


def test_what_a_claim_was_paid_is_taken_once_and_not_once_a_line(claims: Claims) -> None:
    assert claims.all(
        "select item_count, paid_amount, line_paid_total, amounts_differ from lake.silver.claim"
        " where claim_number = 'c-lines'"
    ) == [(3, Decimal("150.5"), Decimal("150.5"), False)]
    assert claims.all(
        "select sum(paid_amount) from lake.silver.claim_line where claim_id = 'cms_rif/c-lines'"
    ) == [(Decimal("150.5"),)]


def test_codes_are_kept_and_normalised_and_what_cannot_be_one_is_told(claims: Claims) -> None:
    assert claims.all(
        "select code.kind, code.code_as_written, code.code, code.code_system, code.problem from"
        " (select unnest(codes) as code from lake.silver.claim where claim_number = 'c-lines') order by 3"
    ) == [
        ("diagnosis", "4019", "4019", "http://hl7.org/fhir/sid/icd-9-cm", None),
        ("principal", "S52.501", "S52501", "http://hl7.org/fhir/sid/icd-10-cm", "seventh character missing"),
    ]  # fmt: skip


def test_versions_of_a_claim_say_what_they_replaced_and_when_they_held(claims: Claims) -> None:
    rows = claims.all(
        "select split_part(claim_id, '/', -1), state, is_final_action, effective_from, effective_to,"
        " split_part(replaces_claim_id, '/', -1), split_part(replaced_by_claim_id, '/', -1)"
        " from lake.gold.claim_history where patient_id = 'P1' and claim_id like '%/c-%' order by 1"
    )
    january, february, march = date(2024, 1, 10), date(2024, 2, 1), date(2024, 3, 10)

    assert rows == [
        ("c-denied", "denied", True, january, None, None, None),
        ("c-final", "paid", True, january, None, None, None),
        ("c-lines", "paid", True, january, None, None, None),
        ("c-v1", "replaced", False, january, march, None, "c-v2"),
        ("c-v2", "paid", True, march, None, "c-v1", None),
        ("c-w1", "voided", False, january, february, None, "c-w2"),
        ("c-w2", "void", True, february, None, "c-w1", None),
    ]


@pytest.mark.parametrize(
    ("day", "held"),
    [("2024-03-01", "North|A"), ("2024-04-15", "North|B"), ("2024-06-01", "North|C")],
)
def test_the_version_that_held_on_a_day_can_be_asked_for(
    claims: Claims, day: str, held: str
) -> None:
    assert claims.all(
        "select claim_id from lake.gold.claim_history where claim_key = 'plain/North|A'"
        f" and effective_from <= date '{day}' and (effective_to is null or date '{day}' < effective_to)"
    ) == [(f"plain/{held}",)]


def test_an_outpatient_claim_with_a_line_of_the_emergency_room_is_one_of_it(claims: Claims) -> None:
    assert claims.all(
        "select service_category, bill_type, frequency_code, paid_amount from lake.silver.claim"
        " where claim_id = 'plain/North|A'"
    ) == [("emergency", "13", "1", Decimal("80"))]
    assert claims.all(
        "select revenue_code, procedure_code from lake.silver.claim_line where claim_id = 'plain/North|A'"
        " order by 1"
    ) == [("0250", "G0008"), ("0450", "G0008")]


def test_parts_of_a_claim_in_several_tables_are_one_claim(claims: Claims) -> None:
    assert claims.all(
        "select patient_id, service_category, drg_code, item_count, paid_amount, codes[1].code,"
        " codes[1].code_system from lake.silver.claim where source_system = 'cms_idr'"
    ) == [
        ("P3", "inpatient", "470", 1, Decimal("12.5"), "0SR9019", "http://www.cms.gov/Medicare/Coding/ICD10")
    ]  # fmt: skip


def test_transactions_are_charges_and_payments_by_payer_and_patient(claims: Claims) -> None:
    assert claims.all(
        "select charge_amount, paid_amount, patient_amount, item_count from lake.silver.claim"
        " where source_system = 'synthea'"
    ) == [(Decimal("77.49"), Decimal("50"), Decimal("27.49"), 1)]


def test_fhir_claims_and_explanations_are_claims_with_lines(claims: Claims) -> None:
    assert claims.all(
        "select claim_id, told_as, adjudication, service_category, charge_amount, paid_amount, paid_date,"
        " claim_number from lake.silver.claim where source_system = 'fhir' order by 1"
    ) == [
        ("ExplanationOfBenefit/e1", "adjudicated", "paid", "pharmacy", Decimal("90.1"), Decimal("80.05"), date(2024, 1, 10), "k1"),
        ("k1", "billed", "pending", "pharmacy", Decimal("90.1"), None, None, "k1"),
    ]  # fmt: skip
    assert claims.all(
        "select ndc_code, charge_amount, paid_amount, coinsurance_amount from lake.silver.claim_line"
        " where claim_id = 'ExplanationOfBenefit/e1'"
    ) == [("0002821501", Decimal("90.1"), Decimal("80.05"), Decimal("10.05"))]
    assert claims.all("select count(*) from lake.gold.claim_history where source_system = 'fhir'") == [(1,)]  # fmt: skip


def test_a_month_counts_once_for_a_member_however_he_was_enrolled(claims: Claims) -> None:
    assert claims.all(
        "select strftime(enrolled_month, '%Y-%m'), payer_count from lake.gold.member_month where patient_id = 'P1'"
        " order by 1"
    ) == [("2023-12", 1), ("2024-01", 1), ("2024-02", 2), ("2024-03", 1), ("2024-04", 1), ("2024-05", 1), ("2024-06", 1)]  # fmt: skip


def test_bills_of_one_stay_are_one_and_a_death_is_no_readmission(claims: Claims) -> None:
    assert claims.all(
        "select admitted_on::varchar, discharged_on::varchar, length_days, bill_count, died,"
        " is_readmitted_within_30_days from lake.gold.claim_stay where patient_id = 'P1' order by 1"
    ) == [
        ("2024-03-01", "2024-03-09", 8, 2, False, True),
        ("2024-03-20", "2024-03-20", 1, 1, False, False),
        ("2024-04-30", "2024-05-02", 2, 1, True, False),
    ]


def test_cost_is_of_final_actions_over_all_that_were_enrolled(claims: Claims) -> None:
    assert claims.all(
        "select service_category, claim_count, denied_count, paid_amount, member_months, paid_per_member_month"
        " from lake.marts.claims_cost_monthly where service_month = '2024-01-01' order by 1"
    ) == [
        ("inpatient", 1, 0, 12.5, 1, 12.5),
        ("pharmacy", 1, 0, 80.05, 1, 80.05),
        ("professional", 4, 1, 265.5, 1, 265.5),
    ]
    assert claims.all(
        "select sum(claim_count) from lake.marts.claims_cost_monthly where service_month = '2024-02-01'"
    ) == [(0,)]


def test_a_later_delivery_replaces_a_claim_whole_and_its_withdrawal_brings_the_first_back(
    claims: Claims,
) -> None:
    before = claims.silver.content()
    later = claims.land({"cms_rif_carrier": [_carrier("c-lines", "1", "99", "99"), _carrier("c-final", "1", "5", "5", DML_IND="DELETE")]})  # fmt: skip
    claims.silver.build(select=MODELS)

    assert claims.all(
        "select claim_number, item_count, paid_amount from lake.silver.claim"
        " where claim_number in ('c-lines', 'c-final')"
    ) == [("c-lines", 1, Decimal("99"))]
    assert claims.all("select count(*) from lake.silver.claim_line where claim_id = 'cms_rif/c-lines'") == [(1,)]  # fmt: skip
    step_by_step = claims.silver.content()
    claims.silver.build(select=MODELS, full_refresh=True)
    assert claims.silver.content() == step_by_step

    claims.silver.withdraw(later)
    claims.silver.build(select=MODELS)
    assert claims.silver.content() == before
