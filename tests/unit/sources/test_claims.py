"""Rows of claims in each layout as rows of one table: keys, amounts, codes, deletions."""

# ruff: noqa: E501 - files of tables have long lines

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from ingestion.intake import layouts
from ingestion.sources import StagedFile
from ingestion.sources.claims import ClaimsSource
from ingestion.sources.claims.mapping import mappings

CARRIER = (
    "DML_IND|BENE_ID|CLM_ID|CLM_GRP_ID|FINAL_ACTION|NCH_CLM_TYPE_CD|CLM_FROM_DT|CLM_THRU_DT|"
    "NCH_WKLY_PROC_DT|CARR_NUM|CARR_CLM_PMT_DNL_CD|CLM_PMT_AMT|PRNCPAL_DGNS_CD|PRNCPAL_DGNS_VRSN_CD|"
    "ICD_DGNS_CD1|ICD_DGNS_VRSN_CD1|ICD_DGNS_CD2|ICD_DGNS_VRSN_CD2|LINE_NUM|HCPCS_CD|HCPCS_1ST_MDFR_CD|"
    "HCPCS_2ND_MDFR_CD|LINE_NCH_PMT_AMT|CARR_LINE_MTUS_CNT|NEW_IN_2027\n"
)
LINE = "INSERT|-1|C1|G1|F|71|02-JAN-2024|03-Jan-2024|20240110|1|1|150.50|E119|0|E11.9|0|4019|9|1|99213|25|LT|100.25|1|x\n"
MEDICAL = "claim_id,claim_line_number,member_id,payer,claim_start_date,paid_amount,coinsurance_amount,copayment_amount,diagnosis_code_type,diagnosis_code_1\n"
ENROLLMENT = "member_id,payer,plan,enrollment_start_date,enrollment_end_date\n"


def _read(reader: Any, layout: str, content: str | bytes) -> Any:
    data = content.encode() if isinstance(content, str) else content
    info = reader.store.put(f"raw/s/{layout}.csv", data)
    file = StagedFile(f"{layout}.csv", info.key, info.size, "claims_csv", layout, "1")
    return reader.read(ClaimsSource(), [file])


def test_every_layout_of_claims_is_mapped_or_is_enrolment() -> None:
    of_claims = {one.name for one in layouts.load() if one.file_type == "claims_csv"}

    assert of_claims - mappings().keys() == {"plain_enrollment", "cms_rif_beneficiary"}


def test_a_line_of_a_claim_has_the_claims_values_and_its_own(reader: Any) -> None:
    (row,) = _read(reader, "cms_rif_carrier", CARRIER + LINE).rows

    assert (row["claim_id"], row["row_key"], row["part"]) == ("cms_rif/C1", "carrier|1", "claim_line")  # fmt: skip
    assert (row["from_date"], row["thru_date"], row["processed_date"]) == (
        date(2024, 1, 2),
        date(2024, 1, 3),
        date(2024, 1, 10),
    )
    assert (row["paid_amount"], row["line_paid_amount"]) == (Decimal("150.5"), Decimal("100.25"))
    assert row["modifiers"] == ["25", "LT"]
    assert [(one["kind"], one["code"], one["version"]) for one in row["codes"]] == [
        ("principal", "E119", "0"),
        ("diagnosis", "E11.9", "0"),
        ("diagnosis", "4019", "9"),
    ]
    assert '"NEW_IN_2027":"x"' in row["record"]


def test_a_row_that_is_taken_back_says_so(reader: Any) -> None:
    (row,) = _read(reader, "cms_rif_carrier", CARRIER + LINE.replace("INSERT", "DELETE")).rows

    assert row["is_deleted"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (LINE.replace("02-JAN-2024", "31-FEB-2024"), "invalid_value"),
        (LINE.replace("150.50", "150,50"), "invalid_value"),
        (LINE.replace("150.50", "1e30"), "invalid_value"),
        (LINE.replace("|C1|", "| |"), "missing_value"),
        (LINE.replace("|1|99213", "|one|99213"), "invalid_value"),
        (LINE.replace("|x\n", "\n"), "wrong_column_count"),
    ],
)
def test_a_bad_line_is_refused_alone_and_names_no_value(
    reader: Any, wrong: str, reason: str
) -> None:
    outcome = _read(reader, "cms_rif_carrier", CARRIER + wrong + LINE.replace("C1", "C2"))

    assert [row["claim_number"] for row in outcome.rows] == ["C2"]
    assert outcome.refused == [("line 2", reason)]
    assert not any("C1" in one.detail or "-1" in one.detail for one in outcome.rejected)


def test_the_plain_layout_adds_what_members_pay_and_takes_the_codes_revision(reader: Any) -> None:
    text = MEDICAL + "A,1,M1,North,2024-01-02,80.00,10.5,2,icd-10-cm,e11.9\n"
    (row,) = _read(reader, "plain_medical", text).rows

    assert row["claim_id"] == "plain/North|A"
    assert row["line_coinsurance_amount"] == Decimal("12.5")
    assert (row["codes"][0]["code"], row["codes"][0]["version"]) == ("e11.9", "0")


def test_parts_of_a_claim_in_several_tables_have_one_key(reader: Any) -> None:
    keys = "GEO_BENE_SK,CLM_DT_SGNTR_SK,CLM_TYPE_CD,CLM_NUM_SK"
    header = _read(reader, "cms_idr_clm", f"{keys},CLM_CNTL_NUM,CLM_FINL_ACTN_IND,CLM_OBSLT_DT,CLM_DISP_CD\n9,8,40,1,X,Y,9999-12-31,~\n").rows[0]  # fmt: skip
    code = _read(reader, "cms_idr_clm_prod", f"{keys},CLM_PROD_TYPE_CD,CLM_VAL_SQNC_NUM,CLM_DGNS_CD,CLM_DGNS_PRCDR_ICD_IND\n9,8,40,1,D,2,Z001,0\n").rows[0]  # fmt: skip

    assert header["claim_id"] == code["claim_id"] == "cms_idr/9|8|40|1"
    assert (header["superseded_date"], header["disposition_code"]) == (None, None)
    assert code["codes"][0] | {"code": "Z001", "kind": "diagnosis", "sequence": 2} == code["codes"][0]  # fmt: skip


def test_enrolment_is_spans_or_marked_months(reader: Any) -> None:
    spans = _read(reader, "plain_enrollment", ENROLLMENT + "M1,North,Gold,2024-01-15,\nM1,North,Gold,2023-05-01,2023-04-01\n")  # fmt: skip
    months = "|".join(f"MDCR_ENTLMT_BUYIN_IND_{number:02d}" for number in range(1, 13))
    year = _read(reader, "cms_rif_beneficiary", f"BENE_ID|BENE_BIRTH_DT|RFRNC_YR|{months}\n-1|01-JAN-1950|2023|0|0|3|3|C|1|0|0|0|0|0|0\n")  # fmt: skip

    assert [(row["started_on"], row["ended_on"]) for row in spans.rows] == [(date(2024, 1, 15), None)]  # fmt: skip
    assert spans.refused == [("line 3", "invalid_value")]
    assert year.rows[0]["months"] == [3, 4, 5, 6]


def test_no_bytes_end_the_reading_and_every_row_is_accounted_for(reader: Any) -> None:
    """Bytes of a good file are changed, cut, doubled and moved, the same in every run."""
    chance = random.Random(20261127)
    good = (CARRIER + "".join(LINE.replace("|C1|", f"|C{n}|") for n in range(20))).encode()
    for _ in range(150):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 12)):
            at = chance.randrange(len(CARRIER), len(data))
            piece = bytes(data[at : at + chance.randrange(40)])
            match chance.randrange(4):
                case 0:
                    data[at : at + 1] = chance.choice([b'"', b"|", b"\n", b"\r", b"\0", b"\xff", b"'", b"\xc3"])  # fmt: skip
                case 1:
                    del data[at : at + len(piece)]
                case 2:
                    data[at:at] = piece
                case _:
                    data[at:at] = chance.randbytes(3)
        _read(reader, "cms_rif_carrier", bytes(data))
