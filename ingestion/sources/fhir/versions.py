"""What tells FHIR R4 from the other versions: resource types, profiles, and elements of other versions.

R4B (4.3.0) is taken with R4. Lists: https://hl7.org/fhir/directory.html, each version's resources.
"""

from __future__ import annotations

import re
from typing import Final

from sql_on_fhir import definitions

#: The resource types of R4, and those of R4B that came on top.
R4_TYPES: Final = definitions.resource_types() | {
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
}

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

#: Elements that R4 does not have, but another version has in this place.
OTHER_VERSION_ELEMENTS: Final = {
    "Patient": "animal",
    "Encounter.participant": "actor",
    "Encounter": "reason patient actualPeriod incomingReferral indication fulfills admission"
    " plannedStartDate subjectStatus virtualService",
    "Condition": "context patient assertedDate dateRecorded notes participant",
    "Observation": "context comments comment related valueAttachment triggeredBy instantiatesCanonical",
    "Procedure": "context occurrenceDateTime occurrencePeriod notPerformed notPerformedReason"
    " reasonNotPerformed definition notes reportedBoolean",
    "MedicationRequest": "context medication definition reason effectiveDosePeriod",
    "Medication": "isBrand product package doseForm marketingAuthorizationHolder",
    "MedicationAdministration": "medication notGiven wasNotGiven prescription patient encounter occurenceDateTime",
    "MedicationDispense": "medication notDone notDoneReasonCodeableConcept notPerformedReason",
    "MedicationStatement": "medication taken notTaken wasNotTaken patient adherence",
    "DocumentReference": "indexed class attester modality facilityType",
    "DiagnosticReport": "context codedDiagnosis image request supportingInfo composition note",
    "ImagingStudy": "patient uid accession availability modalityList",
    "AllergyIntolerance": "assertedDate substance status participant",
    "CarePlan": "context definition participant",
    "Claim": "employmentImpacted hospitalization information organization ruleset",
    "Coverage": "grouping sequence issuer",
    "ExplanationOfBenefit": "employmentImpacted hospitalization information organization totalCost ruleset",
    "Immunization": "date notGiven wasNotGiven explanation vaccinationProtocol administeredProduct",
    "Device": "udi model name",
    "Practitioner": "practitionerRole role",
}

_PROFILE: Final = re.compile(
    # guides that keep their versions in folders: hl7.org, fhir.hl7.org.uk, fhir.nhs.uk, …
    r"//[^/?#]+/(?:[^?#|]*/)?(?:DSTU-?2|STU-?3|R5|R6|1\.0|3\.0|5\.0|6\.0)(?:\.\d+)?/"
    # a core profile with the version of the specification
    r"|//hl7\.org/fhir/StructureDefinition/[^/|]+\|(?:0|1|3|5|6)\."
    # guides of DSTU2
    r"|//fhir\.org/guides/argonaut/|//hl7\.org/fhir/us/daf/",
    re.IGNORECASE,
)
_R4_VERSIONS: Final = ("4.0", "4.1", "4.3")


def is_profile_of_another_version(url: str) -> bool:
    return _PROFILE.search(url) is not None


def is_r4(version: str) -> bool:
    """Whether a ``fhirVersion`` is one whose resources are taken."""
    return version.startswith(_R4_VERSIONS)
