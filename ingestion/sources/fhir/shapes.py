"""What a FHIR R4 resource must look like to be taken, as types that check while they decode.

Each resource is decoded once into one of these: what identifies it, and the shape of the elements
that Silver reads. An object where R4 has a list, a text where it has a number, or a date that is
none is refused here, with the element's path, because it would be silently null further on. What
is not listed is not looked at. Shapes: https://hl7.org/fhir/R4/ (4.0.1).
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct, defstruct

from ingestion.sources import Reason

#: A day that exists, leap years included, so that casting it never fails.
_DAY: Final = (
    r"(?:\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
    r"|(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
)
#: dateTime of R4 (https://hl7.org/fhir/R4/datatypes.html#dateTime), and what many systems write in
#: its place: without seconds, without an offset.
_DATE_TIME: Final = re.compile(
    rf"^(?:{_DAY}(?:T(?:[01]\d|2[0-3]):[0-5]\d(?::(?:[0-5]\d|60)(?:\.\d+)?)?"
    r"(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d)?)?|\d{4}(?:-(?:0[1-9]|1[0-2]))?)\Z"
)
_NOT_A_DATE: Final = "Not a date that exists"
_OTHER_VERSION: Final = "Another version of FHIR"
_OTHER_VERSION_PROFILE: Final = re.compile(
    # guides that keep their versions in folders: hl7.org, fhir.hl7.org.uk, fhir.nhs.uk, …
    r"//[^/?#]+/(?:[^?#|]*/)?(?:DSTU-?2|STU-?3|R5|R6|1\.0|3\.0|5\.0|6\.0)(?:\.\d+)?/"
    # a core profile with the version of the specification
    r"|//hl7\.org/fhir/StructureDefinition/[^/|]+\|(?:0|1|3|5|6)\."
    # guides of DSTU2
    r"|//fhir\.org/guides/argonaut/|//hl7\.org/fhir/us/daf/",
    re.IGNORECASE,
)
_PROFILES_KEPT: Final = 10_000

Text = str | None
#: An element that R4 does not have, but another version of FHIR has in this place.
OtherVersion: TypeAlias = None


#: Dates seen so far: the resources of one encounter share theirs, so most are found here.
_dates: set[str | None] = {None}
_DATES_KEPT: Final = 100_000


def is_date(value: str) -> bool:
    """Whether ``value`` is a date, partial date or date with time that exists."""
    return _DATE_TIME.search(value) is not None


def _check_dates(names: str, *values: Text) -> None:
    """Refuse ``values`` (of the elements ``names``) that are no dates."""
    if len(_dates) > _DATES_KEPT:
        _dates.clear()
        _dates.add(None)
    for value in values:
        if value is not None and not is_date(value):
            name = names.split()[values.index(value)]
            raise ValueError(f"{_NOT_A_DATE}: {name}")
        _dates.add(value)


#: Profiles seen so far: data names few, and names them on every resource.
_r4_profiles: set[str] = set()


def _check_profile(url: str) -> None:
    if _OTHER_VERSION_PROFILE.search(url):
        raise ValueError(_OTHER_VERSION)
    if len(_r4_profiles) < _PROFILES_KEPT:
        _r4_profiles.add(url)


class Object(Struct, gc=False):
    """Any JSON object; its content is not looked at."""


Objects = list[Object] | None


#: Not empty where the resource decoded last has a reference with an identifier; its reader clears it.
LOGICAL_REFERENCES: Final[list[bool]] = []


class LogicalReference(Struct, gc=False):
    """``Reference.identifier``: https://hl7.org/fhir/R4/references.html#logical."""

    value: Text = None

    def __post_init__(self) -> None:
        LOGICAL_REFERENCES.append(True)


class Reference(Struct, gc=False):
    reference: Text = None
    identifier: LogicalReference | None = None


class CodeableConcept(Struct, gc=False):
    coding: Objects = None
    text: Text = None


class Period(Struct, gc=False):
    start: Text = None
    end: Text = None

    def __post_init__(self) -> None:
        if not _dates.issuperset((self.start, self.end)):
            _check_dates("start end", self.start, self.end)


class Quantity(Struct, gc=False):
    value: float | None = None


#: The tag of a resource of which only parts were asked for
#: (https://hl7.org/fhir/R4/search.html#summary).
SUBSETTED: Final = "SUBSETTED"
_SUBSETTED_SYSTEM: Final = re.compile(
    r"https?://terminology\.hl7\.org/CodeSystem/v3-ObservationValue"
    r"|https?://hl7\.org/fhir/v3/ObservationValue"
)


class Tag(Struct, gc=False):
    system: Text = None
    code: Text = None


class Meta(Struct, gc=False):
    versionId: Text = None  # noqa: N815 - FHIR's own names
    lastUpdated: Text = None  # noqa: N815
    profile: list[str] | None = None
    tag: list[Tag] | None = None

    def is_subset(self) -> bool:
        return any(
            tag.code == SUBSETTED
            and (tag.system is None or _SUBSETTED_SYSTEM.fullmatch(tag.system) is not None)
            for tag in self.tag or ()
        )

    def __post_init__(self) -> None:
        if self.lastUpdated not in _dates:
            _check_dates("lastUpdated", self.lastUpdated)
        if self.profile is not None:
            for url in self.profile:
                if url not in _r4_profiles:
                    _check_profile(url)


class Resource(Struct, tag_field="resourceType", gc=False):
    """What every resource has."""

    id: Text = None
    meta: Meta | None = None


class Identified(Resource):
    identifier: Objects = None


class Definition(Resource):
    """A resource that says for which version of FHIR it is."""

    fhirVersion: str | list[str] | None = None  # noqa: N815

    def __post_init__(self) -> None:
        written = self.fhirVersion
        versions = [written] if isinstance(written, str) else written or []
        if versions and not any(version.startswith(("4.0", "4.1", "4.3")) for version in versions):
            raise ValueError(_OTHER_VERSION)


class Patient(Resource):
    identifier: Objects = None
    name: Objects = None
    birthDate: Text = None  # noqa: N815
    deceasedDateTime: Text = None  # noqa: N815
    deceasedBoolean: bool | None = None  # noqa: N815
    address: Objects = None
    gender: Text = None
    active: bool | None = None
    link: Objects = None
    extension: Objects = None
    animal: OtherVersion = None

    def __post_init__(self) -> None:
        if not _dates.issuperset((self.birthDate, self.deceasedDateTime)):
            _check_dates("birthDate deceasedDateTime", self.birthDate, self.deceasedDateTime)


class Participant(Struct, gc=False):
    individual: Reference | None = None
    actor: OtherVersion = None


class Encounter(Resource, rename={"class_": "class"}):
    identifier: Objects = None
    status: Text = None
    class_: Object | None = None
    type: list[CodeableConcept] | None = None
    subject: Reference | None = None
    period: Period | None = None
    reasonCode: list[CodeableConcept] | None = None  # noqa: N815
    participant: list[Participant] | None = None
    serviceProvider: Reference | None = None  # noqa: N815
    reason: OtherVersion = None
    patient: OtherVersion = None
    actualPeriod: OtherVersion = None  # noqa: N815
    incomingReferral: OtherVersion = None  # noqa: N815
    indication: OtherVersion = None
    fulfills: OtherVersion = None
    admission: OtherVersion = None
    plannedStartDate: OtherVersion = None  # noqa: N815
    subjectStatus: OtherVersion = None  # noqa: N815
    virtualService: OtherVersion = None  # noqa: N815


class Condition(Resource):
    clinicalStatus: CodeableConcept | None = None  # noqa: N815
    verificationStatus: CodeableConcept | None = None  # noqa: N815
    category: list[CodeableConcept] | None = None
    code: CodeableConcept | None = None
    subject: Reference | None = None
    encounter: Reference | None = None
    onsetDateTime: Text = None  # noqa: N815
    onsetPeriod: Period | None = None  # noqa: N815
    abatementDateTime: Text = None  # noqa: N815
    abatementPeriod: Period | None = None  # noqa: N815
    recordedDate: Text = None  # noqa: N815
    context: OtherVersion = None
    patient: OtherVersion = None
    assertedDate: OtherVersion = None  # noqa: N815
    dateRecorded: OtherVersion = None  # noqa: N815
    notes: OtherVersion = None
    participant: OtherVersion = None

    def __post_init__(self) -> None:
        if not _dates.issuperset((self.onsetDateTime, self.abatementDateTime, self.recordedDate)):
            _check_dates(
                "onsetDateTime abatementDateTime recordedDate",
                self.onsetDateTime,
                self.abatementDateTime,
                self.recordedDate,
            )


class Range(Struct, gc=False):
    low: Quantity | None = None
    high: Quantity | None = None


class Ratio(Struct, gc=False):
    numerator: Quantity | None = None
    denominator: Quantity | None = None


class ReferenceRange(Struct, gc=False):
    low: Quantity | None = None
    high: Quantity | None = None
    text: Text = None


class Component(Struct, gc=False):
    code: CodeableConcept | None = None
    valueQuantity: Quantity | None = None  # noqa: N815
    valueCodeableConcept: CodeableConcept | None = None  # noqa: N815
    valueInteger: int | None = None  # noqa: N815
    valueString: Text = None  # noqa: N815
    valueBoolean: bool | None = None  # noqa: N815
    valueDateTime: Text = None  # noqa: N815
    valueTime: Text = None  # noqa: N815
    valueRange: Range | None = None  # noqa: N815
    valueRatio: Ratio | None = None  # noqa: N815
    valuePeriod: Period | None = None  # noqa: N815
    valueSampledData: Object | None = None  # noqa: N815
    dataAbsentReason: CodeableConcept | None = None  # noqa: N815
    interpretation: list[CodeableConcept] | None = None
    referenceRange: list[ReferenceRange] | None = None  # noqa: N815

    def __post_init__(self) -> None:
        if self.valueDateTime not in _dates:
            _check_dates("valueDateTime", self.valueDateTime)


class Observation(Resource):
    status: Text = None
    category: list[CodeableConcept] | None = None
    code: CodeableConcept | None = None
    subject: Reference | None = None
    encounter: Reference | None = None
    effectiveDateTime: Text = None  # noqa: N815
    effectivePeriod: Period | None = None  # noqa: N815
    issued: Text = None
    valueQuantity: Quantity | None = None  # noqa: N815
    valueCodeableConcept: CodeableConcept | None = None  # noqa: N815
    valueString: Text = None  # noqa: N815
    valueInteger: int | None = None  # noqa: N815
    valueBoolean: bool | None = None  # noqa: N815
    valueDateTime: Text = None  # noqa: N815
    valueTime: Text = None  # noqa: N815
    valueRange: Range | None = None  # noqa: N815
    valueRatio: Ratio | None = None  # noqa: N815
    valuePeriod: Period | None = None  # noqa: N815
    valueSampledData: Object | None = None  # noqa: N815
    dataAbsentReason: CodeableConcept | None = None  # noqa: N815
    interpretation: list[CodeableConcept] | None = None
    referenceRange: list[ReferenceRange] | None = None  # noqa: N815
    method: CodeableConcept | None = None
    bodySite: CodeableConcept | None = None  # noqa: N815
    specimen: Reference | None = None
    device: Reference | None = None
    hasMember: list[Reference] | None = None  # noqa: N815
    derivedFrom: list[Reference] | None = None  # noqa: N815
    component: list[Component] | None = None
    context: OtherVersion = None
    comments: OtherVersion = None
    comment: OtherVersion = None
    related: OtherVersion = None
    valueAttachment: OtherVersion = None  # noqa: N815
    triggeredBy: OtherVersion = None  # noqa: N815
    instantiatesCanonical: OtherVersion = None  # noqa: N815

    def __post_init__(self) -> None:
        if not _dates.issuperset((self.effectiveDateTime, self.issued, self.valueDateTime)):
            _check_dates(
                "effectiveDateTime issued valueDateTime",
                self.effectiveDateTime,
                self.issued,
                self.valueDateTime,
            )


class Procedure(Resource):
    status: Text = None
    code: CodeableConcept | None = None
    subject: Reference | None = None
    encounter: Reference | None = None
    performedDateTime: Text = None  # noqa: N815
    performedPeriod: Period | None = None  # noqa: N815
    context: OtherVersion = None
    occurrenceDateTime: OtherVersion = None  # noqa: N815
    occurrencePeriod: OtherVersion = None  # noqa: N815
    notPerformed: OtherVersion = None  # noqa: N815
    notPerformedReason: OtherVersion = None  # noqa: N815
    reasonNotPerformed: OtherVersion = None  # noqa: N815
    definition: OtherVersion = None
    notes: OtherVersion = None
    reportedBoolean: OtherVersion = None  # noqa: N815

    def __post_init__(self) -> None:
        if not _dates.issuperset((self.performedDateTime,)):
            _check_dates("performedDateTime", self.performedDateTime)


class DispenseRequest(Struct, gc=False):
    validityPeriod: Period | None = None  # noqa: N815
    expectedSupplyDuration: Quantity | None = None  # noqa: N815


class MedicationRequest(Resource):
    status: Text = None
    intent: Text = None
    medicationCodeableConcept: CodeableConcept | None = None  # noqa: N815
    medicationReference: Reference | None = None  # noqa: N815
    subject: Reference | None = None
    encounter: Reference | None = None
    authoredOn: Text = None  # noqa: N815
    dosageInstruction: Objects = None  # noqa: N815
    dispenseRequest: DispenseRequest | None = None  # noqa: N815
    context: OtherVersion = None
    medication: OtherVersion = None
    definition: OtherVersion = None
    reason: OtherVersion = None
    effectiveDosePeriod: OtherVersion = None  # noqa: N815

    def __post_init__(self) -> None:
        if not _dates.issuperset((self.authoredOn,)):
            _check_dates("authoredOn", self.authoredOn)


class Medication(Resource):
    status: Text = None
    code: CodeableConcept | None = None
    form: CodeableConcept | None = None
    isBrand: OtherVersion = None  # noqa: N815
    product: OtherVersion = None
    package: OtherVersion = None
    doseForm: OtherVersion = None  # noqa: N815
    marketingAuthorizationHolder: OtherVersion = None  # noqa: N815


class AdministeredDosage(Struct, gc=False):
    text: Text = None
    dose: Quantity | None = None
    route: CodeableConcept | None = None
    site: CodeableConcept | None = None
    method: CodeableConcept | None = None
    rateQuantity: Quantity | None = None  # noqa: N815
    rateRatio: Ratio | None = None  # noqa: N815


class MedicationAdministration(Resource):
    status: Text = None
    medicationCodeableConcept: CodeableConcept | None = None  # noqa: N815
    medicationReference: Reference | None = None  # noqa: N815
    subject: Reference | None = None
    context: Reference | None = None
    effectiveDateTime: Text = None  # noqa: N815
    effectivePeriod: Period | None = None  # noqa: N815
    request: Reference | None = None
    dosage: AdministeredDosage | None = None
    medication: OtherVersion = None
    notGiven: OtherVersion = None  # noqa: N815
    wasNotGiven: OtherVersion = None  # noqa: N815
    prescription: OtherVersion = None
    patient: OtherVersion = None
    encounter: OtherVersion = None
    occurenceDateTime: OtherVersion = None  # noqa: N815 - so spelled in R5

    def __post_init__(self) -> None:
        if not _dates.issuperset((self.effectiveDateTime,)):
            _check_dates("effectiveDateTime", self.effectiveDateTime)


class MedicationDispense(Resource):
    status: Text = None
    type: CodeableConcept | None = None
    medicationCodeableConcept: CodeableConcept | None = None  # noqa: N815
    medicationReference: Reference | None = None  # noqa: N815
    subject: Reference | None = None
    context: Reference | None = None
    authorizingPrescription: list[Reference] | None = None  # noqa: N815
    quantity: Quantity | None = None
    daysSupply: Quantity | None = None  # noqa: N815
    whenPrepared: Text = None  # noqa: N815
    whenHandedOver: Text = None  # noqa: N815
    dosageInstruction: Objects = None  # noqa: N815
    medication: OtherVersion = None
    notDone: OtherVersion = None  # noqa: N815
    notDoneReasonCodeableConcept: OtherVersion = None  # noqa: N815
    notPerformedReason: OtherVersion = None  # noqa: N815

    def __post_init__(self) -> None:
        if not _dates.issuperset((self.whenPrepared, self.whenHandedOver)):
            _check_dates("whenPrepared whenHandedOver", self.whenPrepared, self.whenHandedOver)


class MedicationStatement(Resource):
    status: Text = None
    category: CodeableConcept | None = None
    medicationCodeableConcept: CodeableConcept | None = None  # noqa: N815
    medicationReference: Reference | None = None  # noqa: N815
    subject: Reference | None = None
    context: Reference | None = None
    effectiveDateTime: Text = None  # noqa: N815
    effectivePeriod: Period | None = None  # noqa: N815
    dateAsserted: Text = None  # noqa: N815
    reasonCode: list[CodeableConcept] | None = None  # noqa: N815
    dosage: Objects = None
    medication: OtherVersion = None
    taken: OtherVersion = None
    notTaken: OtherVersion = None  # noqa: N815
    wasNotTaken: OtherVersion = None  # noqa: N815
    patient: OtherVersion = None
    adherence: OtherVersion = None

    def __post_init__(self) -> None:
        if not _dates.issuperset((self.effectiveDateTime, self.dateAsserted)):
            _check_dates(
                "effectiveDateTime dateAsserted", self.effectiveDateTime, self.dateAsserted
            )


class Collection(Struct, gc=False):
    collectedDateTime: Text = None  # noqa: N815
    collectedPeriod: Period | None = None  # noqa: N815
    quantity: Quantity | None = None
    method: CodeableConcept | None = None
    bodySite: CodeableConcept | None = None  # noqa: N815

    def __post_init__(self) -> None:
        if self.collectedDateTime not in _dates:
            _check_dates("collectedDateTime", self.collectedDateTime)


class Specimen(Resource):
    status: Text = None
    type: CodeableConcept | None = None
    subject: Reference | None = None
    receivedTime: Text = None  # noqa: N815
    parent: list[Reference] | None = None
    collection: Collection | None = None

    def __post_init__(self) -> None:
        if self.receivedTime not in _dates:
            _check_dates("receivedTime", self.receivedTime)


class Content(Struct, gc=False):
    attachment: Object | None = None


class DocumentContext(Struct, gc=False):
    encounter: list[Reference] | None = None
    period: Period | None = None


class DocumentReference(Resource, rename={"class_": "class"}):
    status: Text = None
    type: CodeableConcept | None = None
    category: list[CodeableConcept] | None = None
    subject: Reference | None = None
    date: Text = None
    content: list[Content] | None = None
    context: DocumentContext | None = None
    indexed: OtherVersion = None
    class_: OtherVersion = None
    attester: OtherVersion = None
    modality: OtherVersion = None
    facilityType: OtherVersion = None  # noqa: N815

    def __post_init__(self) -> None:
        if not _dates.issuperset((self.date,)):
            _check_dates("date", self.date)


class DiagnosticReport(Resource):
    status: Text = None
    category: list[CodeableConcept] | None = None
    code: CodeableConcept | None = None
    subject: Reference | None = None
    encounter: Reference | None = None
    effectiveDateTime: Text = None  # noqa: N815
    effectivePeriod: Period | None = None  # noqa: N815
    issued: Text = None
    result: list[Reference] | None = None
    conclusion: Text = None
    presentedForm: Objects = None  # noqa: N815
    context: OtherVersion = None
    codedDiagnosis: OtherVersion = None  # noqa: N815
    image: OtherVersion = None
    request: OtherVersion = None
    supportingInfo: OtherVersion = None  # noqa: N815
    composition: OtherVersion = None
    note: OtherVersion = None

    def __post_init__(self) -> None:
        if not _dates.issuperset((self.effectiveDateTime, self.issued)):
            _check_dates("effectiveDateTime issued", self.effectiveDateTime, self.issued)


class ImagingStudy(Resource):
    identifier: Objects = None
    status: Text = None
    modality: Objects = None
    subject: Reference | None = None
    encounter: Reference | None = None
    started: Text = None
    numberOfSeries: int | None = None  # noqa: N815
    numberOfInstances: int | None = None  # noqa: N815
    series: Objects = None
    patient: OtherVersion = None
    uid: OtherVersion = None
    accession: OtherVersion = None
    availability: OtherVersion = None
    modalityList: OtherVersion = None  # noqa: N815

    def __post_init__(self) -> None:
        if not _dates.issuperset((self.started,)):
            _check_dates("started", self.started)


class AllergyIntolerance(Resource):
    clinicalStatus: CodeableConcept | None = None  # noqa: N815
    verificationStatus: CodeableConcept | None = None  # noqa: N815
    patient: Reference | None = None
    encounter: Reference | None = None
    assertedDate: OtherVersion = None  # noqa: N815
    substance: OtherVersion = None
    status: OtherVersion = None
    participant: OtherVersion = None


class CarePlan(Resource):
    subject: Reference | None = None
    encounter: Reference | None = None
    context: OtherVersion = None
    definition: OtherVersion = None
    participant: OtherVersion = None


class Claim(Resource):
    patient: Reference | None = None
    employmentImpacted: OtherVersion = None  # noqa: N815
    hospitalization: OtherVersion = None
    information: OtherVersion = None
    organization: OtherVersion = None
    ruleset: OtherVersion = None


class Coverage(Resource):
    beneficiary: Reference | None = None
    grouping: OtherVersion = None
    sequence: OtherVersion = None
    issuer: OtherVersion = None


class ExplanationOfBenefit(Resource):
    patient: Reference | None = None
    claim: Reference | None = None
    employmentImpacted: OtherVersion = None  # noqa: N815
    hospitalization: OtherVersion = None
    information: OtherVersion = None
    organization: OtherVersion = None
    totalCost: OtherVersion = None  # noqa: N815
    ruleset: OtherVersion = None


class Immunization(Resource):
    patient: Reference | None = None
    encounter: Reference | None = None
    date: OtherVersion = None
    notGiven: OtherVersion = None  # noqa: N815
    wasNotGiven: OtherVersion = None  # noqa: N815
    explanation: OtherVersion = None
    vaccinationProtocol: OtherVersion = None  # noqa: N815
    administeredProduct: OtherVersion = None  # noqa: N815


class Device(Identified):
    patient: Reference | None = None
    udi: OtherVersion = None
    model: OtherVersion = None
    name: OtherVersion = None


class Practitioner(Identified):
    practitionerRole: OtherVersion = None  # noqa: N815
    role: OtherVersion = None


_SHAPES: Final[dict[str, type[Resource]]] = {
    shape.__name__: shape
    for shape in (
        Patient,
        Encounter,
        Condition,
        Observation,
        Procedure,
        MedicationRequest,
        Medication,
        MedicationAdministration,
        MedicationDispense,
        MedicationStatement,
        Specimen,
        DocumentReference,
        DiagnosticReport,
        ImagingStudy,
        AllergyIntolerance,
        CarePlan,
        Claim,
        Coverage,
        ExplanationOfBenefit,
        Immunization,
        Device,
        Practitioner,
    )
}
_SHAPES.update(
    dict.fromkeys(("Organization", "Location", "PractitionerRole", "RelatedPerson"), Identified)
)
_SHAPES.update(
    dict.fromkeys(("CapabilityStatement", "StructureDefinition", "ImplementationGuide"), Definition)
)

#: The resource types of R4, and those of R4B (4.3.0) that came on top.
R4_TYPES: Final = frozenset(
    [
        "Account",
        "ActivityDefinition",
        "AdverseEvent",
        "AllergyIntolerance",
        "Appointment",
        "AppointmentResponse",
        "AuditEvent",
        "Basic",
        "Binary",
        "BiologicallyDerivedProduct",
        "BodyStructure",
        "Bundle",
        "CapabilityStatement",
        "CarePlan",
        "CareTeam",
        "CatalogEntry",
        "ChargeItem",
        "ChargeItemDefinition",
        "Claim",
        "ClaimResponse",
        "ClinicalImpression",
        "CodeSystem",
        "Communication",
        "CommunicationRequest",
        "CompartmentDefinition",
        "Composition",
        "ConceptMap",
        "Condition",
        "Consent",
        "Contract",
        "Coverage",
        "CoverageEligibilityRequest",
        "CoverageEligibilityResponse",
        "DetectedIssue",
        "Device",
        "DeviceDefinition",
        "DeviceMetric",
        "DeviceRequest",
        "DeviceUseStatement",
        "DiagnosticReport",
        "DocumentManifest",
        "DocumentReference",
        "EffectEvidenceSynthesis",
        "Encounter",
        "Endpoint",
        "EnrollmentRequest",
        "EnrollmentResponse",
        "EpisodeOfCare",
        "EventDefinition",
        "Evidence",
        "EvidenceVariable",
        "ExampleScenario",
        "ExplanationOfBenefit",
        "FamilyMemberHistory",
        "Flag",
        "Goal",
        "GraphDefinition",
        "Group",
        "GuidanceResponse",
        "HealthcareService",
        "ImagingStudy",
        "Immunization",
        "ImmunizationEvaluation",
        "ImmunizationRecommendation",
        "ImplementationGuide",
        "InsurancePlan",
        "Invoice",
        "Library",
        "Linkage",
        "List",
        "Location",
        "Measure",
        "MeasureReport",
        "Media",
        "Medication",
        "MedicationAdministration",
        "MedicationDispense",
        "MedicationKnowledge",
        "MedicationRequest",
        "MedicationStatement",
        "MedicinalProduct",
        "MedicinalProductAuthorization",
        "MedicinalProductContraindication",
        "MedicinalProductIndication",
        "MedicinalProductIngredient",
        "MedicinalProductInteraction",
        "MedicinalProductManufactured",
        "MedicinalProductPackaged",
        "MedicinalProductPharmaceutical",
        "MedicinalProductUndesirableEffect",
        "MessageDefinition",
        "MessageHeader",
        "MolecularSequence",
        "NamingSystem",
        "NutritionOrder",
        "Observation",
        "ObservationDefinition",
        "OperationDefinition",
        "OperationOutcome",
        "Organization",
        "OrganizationAffiliation",
        "Parameters",
        "Patient",
        "PaymentNotice",
        "PaymentReconciliation",
        "Person",
        "PlanDefinition",
        "Practitioner",
        "PractitionerRole",
        "Procedure",
        "Provenance",
        "Questionnaire",
        "QuestionnaireResponse",
        "RelatedPerson",
        "RequestGroup",
        "ResearchDefinition",
        "ResearchElementDefinition",
        "ResearchStudy",
        "ResearchSubject",
        "RiskAssessment",
        "RiskEvidenceSynthesis",
        "Schedule",
        "SearchParameter",
        "ServiceRequest",
        "Slot",
        "Specimen",
        "SpecimenDefinition",
        "StructureDefinition",
        "StructureMap",
        "Subscription",
        "Substance",
        "SubstanceNucleicAcid",
        "SubstancePolymer",
        "SubstanceProtein",
        "SubstanceReferenceInformation",
        "SubstanceSourceMaterial",
        "SubstanceSpecification",
        "SupplyDelivery",
        "SupplyRequest",
        "Task",
        "TerminologyCapabilities",
        "TestReport",
        "TestScript",
        "ValueSet",
        "VerificationResult",
        "VisionPrescription",
        "AdministrableProductDefinition",
        "Citation",
        "ClinicalUseDefinition",
        "EvidenceReport",
        "Ingredient",
        "ManufacturedItemDefinition",
        "MedicinalProductDefinition",
        "NutritionProduct",
        "PackagedProductDefinition",
        "RegulatedAuthorization",
        "SubscriptionStatus",
        "SubscriptionTopic",
        "SubstanceDefinition",
    ]
)

#: Resource types that only DSTU2, STU3, R5 or R6 have.
OTHER_VERSION_TYPES: Final = frozenset(
    [
        "BodySite",
        "Conformance",
        "DataElement",
        "DeviceComponent",
        "DeviceUseRequest",
        "DiagnosticOrder",
        "EligibilityRequest",
        "EligibilityResponse",
        "ExpansionProfile",
        "ImagingManifest",
        "ImagingObjectSelection",
        "MedicationOrder",
        "Order",
        "OrderResponse",
        "ProcedureRequest",
        "ProcessRequest",
        "ProcessResponse",
        "ReferralRequest",
        "Sequence",
        "ServiceDefinition",
        "ActorDefinition",
        "ArtifactAssessment",
        "BiologicallyDerivedProductDispense",
        "ConditionDefinition",
        "DeviceAlert",
        "DeviceAssociation",
        "DeviceDispense",
        "DeviceUsage",
        "EncounterHistory",
        "FormularyItem",
        "GenomicStudy",
        "ImagingSelection",
        "InventoryItem",
        "InventoryReport",
        "MolecularDefinition",
        "NutritionIntake",
        "Permission",
        "PersonalRelationship",
        "RequestOrchestration",
        "Requirements",
        "TestPlan",
        "Transport",
    ]
)


def _head_types() -> Any:
    """One type for each resource type, told apart by ``resourceType``."""
    heads = [
        defstruct(name, [], bases=(_SHAPES.get(name, Resource),), tag=name, gc=False)
        for name in sorted(R4_TYPES)
    ]
    union: Any = heads[0]
    for head in heads[1:]:
        union |= head
    return union


_PLACE: Final = re.compile(r" - at `\$\.?(?P<path>[^`]*)`\Z")
#: Shapes that are wrong in R4 because they are right in another version.
_OTHER_VERSION_SHAPES: Final = re.compile(
    r"Expected `null`, got "
    r"|Expected `object \| null`, got `str` - at `\$\.(?:clinicalStatus|verificationStatus|class)`"
    r"|Expected `object \| null`, got `array` - at `\$\.(?:class|context)`"
    r"|Expected `array \| null`, got `object` - at `\$\.(?:context\.encounter|category)`"
    r"|Expected `object \| null`, got `str` - at `\$\.dispenseRequest"
    rf"|{_OTHER_VERSION}"
)
_SHAPE: Final = re.compile(
    r"Expected `(?:[^`]*(?:object|array)[^`]*`, got|[^`]*`, got `(?:object|array))"
)


def refusal(error: msgspec.ValidationError) -> tuple[Reason, str]:
    """Why a resource does not have the shape of R4: reason and detail, without any of its values."""
    text = str(error)
    place = _PLACE.search(text)
    path = place["path"] if place else ""
    if path == "resourceType" or "`resourceType`" in text:
        if text.startswith("Object missing"):
            return Reason.MISSING_RESOURCE_TYPE, "The resource has no resourceType."
        return Reason.UNKNOWN_RESOURCE_TYPE, "resourceType is none of FHIR R4."
    if _OTHER_VERSION_SHAPES.search(text):
        return Reason.FHIR_VERSION, f"`{path}` is written as in another version than FHIR R4."
    said = text[: place.start()] if place else text
    if said.startswith(_NOT_A_DATE):
        name = said.rpartition(" ")[2]
        return Reason.INVALID_VALUE, f"{_NOT_A_DATE}: `{path}.{name}`." if path else f"{said}."
    reason = Reason.WRONG_SHAPE if _SHAPE.match(text) else Reason.INVALID_VALUE
    return reason, f"{said} at `{path}`." if path else f"{said}."


#: Decodes a resource into its :class:`Resource`; ``type(head).__name__`` is the resource type.
RESOURCE: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(_head_types())
