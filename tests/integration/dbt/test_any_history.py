"""Whatever happened, and in whatever order: Silver is what one clean build of it would give."""

from __future__ import annotations

import base64
import os
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ingestion.sources.fhir.identity import id_of_condition
from tests.integration.dbt.bronze import Arrival, Silver

NPI = "http://hl7.org/fhir/sid/us-npi"
_LOINC = "http://loinc.org"
_TEXTS = ("# Subjective\nwell\n# Plan\nnone", "a short note")
_VERSIONS = st.sampled_from([None, "1", "2", "10", "f47ac10b-58cc", "MTcwMA"])
_UPDATED = st.sampled_from(
    [None, "2026-01-01T00:00:00Z", "2026-01-01T00:30:00+01:00", "2026-02-01T00:00:00Z"]
)


def _one_of(prefix: str, count: int = 2) -> st.SearchStrategy[str]:
    return st.sampled_from([f"{prefix}{number}" for number in range(1, count + 1)])


def _reference(kind: str, prefix: str) -> st.SearchStrategy[dict[str, str]]:
    """To a resource that may be there or not: by id, by UUID, by identifier, or inside."""
    by_id = _one_of(prefix).map(lambda name: {"reference": f"{kind}/{name}"})
    by_uuid = _one_of(prefix).map(lambda name: {"reference": f"urn:uuid:{name}"})
    by_identifier = st.sampled_from("78").map(
        lambda n: {"reference": f"{kind}?identifier={NPI}|{n}"}
    )
    return st.one_of(by_id, by_uuid, by_identifier, st.just({"reference": f"#{prefix}1"}))


def _coded(*codes: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.sampled_from(codes).map(lambda code: {"coding": [{"system": _LOINC, "code": code}]})


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _attachment() -> st.SearchStrategy[dict[str, Any]]:
    """A text that is there, or in a Binary that may be."""
    inside = st.sampled_from(_TEXTS).map(
        lambda text: {"contentType": "text/plain", "data": _base64(text)}
    )
    elsewhere = _one_of("n").map(lambda n: {"contentType": "text/plain", "url": f"Binary/{n}"})
    return st.one_of(inside, elsewhere)


_IDENTIFIERS = st.lists(
    st.sampled_from("78").map(lambda n: {"system": NPI, "value": n}), max_size=2
)
_INSIDE = [{"resourceType": "Patient", "id": "p1"}, {"resourceType": "Encounter", "id": "e1"}]
_SUBJECT = _reference("Patient", "p")
_ENCOUNTER = _reference("Encounter", "e")


def _resource(
    kind: str, prefix: str, **parts: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    fixed = {
        "resourceType": st.just(kind),
        "id": _one_of(prefix),
        "contained": st.sampled_from([[], _INSIDE]),
    }
    return st.fixed_dictionaries(fixed | parts)


_RESOURCES = st.one_of(
    _resource(
        "Patient",
        "p",
        identifier=_IDENTIFIERS,
        gender=st.sampled_from(["female", "male"]),
        birthDate=st.sampled_from(["1950", "1980-02-30", "1990-05-05"]),
    ),
    _resource("Practitioner", "x", identifier=_IDENTIFIERS),
    _resource(
        "Encounter",
        "e",
        identifier=_IDENTIFIERS,
        subject=_SUBJECT,
        participant=_reference("Practitioner", "x").map(lambda r: [{"individual": r}]),
    ),
    _resource(
        "Condition",
        "c",
        subject=_SUBJECT,
        encounter=_ENCOUNTER,
        code=_coded("a", "b"),
        onsetDateTime=st.sampled_from(["2020-01-01", "no date"]),
    ),
    _resource(
        "Observation",
        "o",
        identifier=_IDENTIFIERS,
        subject=_SUBJECT,
        encounter=_ENCOUNTER,
        code=_coded("8867-4", "34534-8"),
        valueQuantity=st.sampled_from([{"value": 70}, {"value": "seventy"}]),
    ),
    _resource(
        "DiagnosticReport",
        "r",
        subject=_SUBJECT,
        encounter=_ENCOUNTER,
        code=_coded("11524-6", "51969-4", "other"),
        conclusion=st.sampled_from(["Sinus rhythm.", "One pathogenic variant."]),
        result=st.lists(_one_of("o").map(lambda o: {"reference": f"Observation/{o}"}), max_size=2),
        presentedForm=st.lists(_attachment(), max_size=1),
    ),
    _resource(
        "DocumentReference",
        "d",
        subject=_SUBJECT,
        context=_ENCOUNTER.map(lambda r: {"encounter": [r]}),
        content=_attachment().map(lambda a: [{"attachment": a}]),
        status=st.sampled_from(["current", "superseded"]),
        relatesTo=st.lists(
            _one_of("d").map(
                lambda d: {
                    "code": "replaces",
                    "target": {"reference": f"DocumentReference/{d}"},
                }
            ),
            max_size=1,
        ),
    ),
    _resource(
        "Binary",
        "n",
        contentType=st.just("text/plain"),
        data=st.sampled_from(_TEXTS).map(_base64),
    ),
    _resource("Medication", "m", code=_coded("aspirin", "ibuprofen")),
    _resource(
        "MedicationRequest",
        "q",
        subject=_SUBJECT,
        medicationReference=_one_of("m").map(lambda m: {"reference": f"Medication/{m}"}),
    ),
    _resource(
        "ImagingStudy",
        "i",
        subject=_SUBJECT,
        identifier=st.sampled_from("12").map(
            lambda n: [{"system": "urn:dicom:uid", "value": f"urn:oid:1.{n}"}]
        ),
    ),
    _resource("AllergyIntolerance", "a", patient=_SUBJECT),
)
_SELDOM = st.sampled_from([False, False, False, True])
_CONDITIONAL_TYPES = ("Patient", "Encounter", "Observation")


def _condition(kind: str, value: str) -> str:
    return f"{kind}?identifier={NPI}|{value}"


@st.composite
def _arrivals(draw: st.DrawFn) -> Arrival:
    """A resource by its id, or by a condition; it may name others as entries of its bundle do that
    only a condition names."""
    content = draw(_RESOURCES)
    kind, condition, names = content["resourceType"], None, []
    if kind in _CONDITIONAL_TYPES and draw(st.booleans()):
        condition = _condition(kind, draw(st.sampled_from("78")))
    if "subject" in content and draw(_SELDOM):
        names = [_condition("Patient", draw(st.sampled_from("78")))]
        content["subject"] = {"reference": f"Patient/{id_of_condition(names[0])}"}
    return Arrival(
        content,
        draw(_VERSIONS),
        draw(_UPDATED),
        deleted=draw(_SELDOM),
        condition=condition,
        created=draw(_SELDOM),
        subset=draw(_SELDOM),
        history=draw(_SELDOM),
        names=names,
    )


_ARRIVALS = _arrivals()
_DICOM = st.fixed_dictionaries(
    {
        "study_instance_uid": st.sampled_from(["1.1", "1.2"]),
        "sop_instance_uid": st.sampled_from(["9.1", "9.2"]),
        "modality": st.sampled_from(["CT", "UNKNOWN"]),
    }
)

#: One build's worth of events: drops, and what becomes of the nth submission so far. A hold counts for
#: one that the build takes in for the first time, a release for one that is held.
_EVENTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("land"),
            st.lists(_ARRIVALS, min_size=5, max_size=14),
            st.lists(_DICOM, max_size=1),
        ),
        st.tuples(st.sampled_from(["withdraw", "hold", "release"]), st.integers(0, 9)),
    ),
    min_size=1,
    max_size=3,
)
_HISTORIES = st.lists(
    st.tuples(_EVENTS, st.sampled_from([False, False, True])), min_size=2, max_size=4
)


#: How many histories are tried. The few that everybody waits for are always the same; with a number in
#: `HISTORIES` there are so many, others each time.
_ASKED = os.environ.get("HISTORIES")


@settings(
    max_examples=int(_ASKED or 2),
    deadline=None,
    derandomize=_ASKED is None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(history=_HISTORIES)
def test_any_history_of_drops_gives_the_tables_of_one_clean_build(
    silver: Silver, history: list[tuple[list[tuple[Any, ...]], bool]]
) -> None:
    silver.reset()
    withdrawn: set[str] = set()
    for events, dies in history:
        held: set[str] = set()
        for event in events:
            if event[0] == "land":
                silver.land(event[1], event[2])
            elif silver.submissions:
                name = silver.submissions[event[1] % len(silver.submissions)]
                if event[0] == "hold":
                    held.add(name)
                elif event[0] == "release":
                    silver.release(name)
                elif name not in withdrawn:
                    withdrawn.add(name)
                    silver.withdraw(name)
        silver.build(dies=dies, hold=held)
    silver.build()
    step_by_step = silver.content()
    silver.build(full_refresh=True)
    assert step_by_step == silver.content()
