"""The keys that each part of a ViewDefinition may have; others are errors."""

# The elements of ViewDefinition and of the types around it (Element, BackboneElement, Resource,
# DomainResource, CanonicalResource, MetadataResource); resourceDefinition belongs to the JSON of
# additional resources.
_BACKBONE = frozenset(["id", "extension", "modifierExtension"])
VIEW_KEYS = _BACKBONE | frozenset(
    [
        "resourceType",
        "resourceDefinition",
        "meta",
        "implicitRules",
        "language",
        "text",
        "contained",
        "url",
        "identifier",
        "version",
        "versionAlgorithmString",
        "versionAlgorithmCoding",
        "name",
        "title",
        "status",
        "experimental",
        "date",
        "publisher",
        "contact",
        "description",
        "useContext",
        "jurisdiction",
        "purpose",
        "copyright",
        "copyrightLabel",
        "approvalDate",
        "lastReviewDate",
        "effectivePeriod",
        "topic",
        "author",
        "editor",
        "reviewer",
        "endorser",
        "relatedArtifact",
        "resource",
        "profile",
        "fhirVersion",
        "constant",
        "select",
        "where",
    ]
)
SELECT_KEYS = _BACKBONE | {"column", "select", "forEach", "forEachOrNull", "repeat", "unionAll"}
COLUMN_KEYS = _BACKBONE | {"path", "name", "description", "collection", "type", "tag"}
TAG_KEYS = _BACKBONE | {"name", "value"}
CONSTANT_KEYS = _BACKBONE | {"name"}
WHERE_KEYS = _BACKBONE | {"path", "description"}
