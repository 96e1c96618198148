"""Errors of the package, one small hierarchy. Each message names the view, the path and the rule."""


class SqlOnFhirError(Exception):
    """Anything that this package reports about a view or about the data it is run on."""


class ViewDefinitionError(SqlOnFhirError):
    """A ViewDefinition that breaks a rule of the specification.

    `where` is the place in the view, written as in JSON: `select[0].column[2].type`.
    """

    def __init__(self, message: str, *, view: str | None = None, where: str = "") -> None:
        self.reason = message
        self.view = view
        self.where = where
        super().__init__(_located(message, view, where))


class FhirPathError(SqlOnFhirError):
    """A FHIRPath expression that cannot be read, or that asks for what is not supported.

    `position` counts characters of `path` from 0.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str,
        position: int,
        view: str | None = None,
        where: str = "",
    ) -> None:
        self.reason = message
        self.path = path
        self.position = position
        self.view = view
        self.where = where
        pointed = f"{message}, in the path {path!r} at character {position + 1}"
        super().__init__(_located(pointed, view, where))

    def located(self, view: str | None, where: str) -> "FhirPathError":
        """The same error with the place of its path in a view."""
        return FhirPathError(
            self.reason, path=self.path, position=self.position, view=view, where=where
        )


class CardinalityError(SqlOnFhirError):
    """A path gave several values where the view allows one, met while rows were computed."""


class SourceError(SqlOnFhirError):
    """A file or stream that holds no FHIR JSON which can be read."""


def _located(message: str, view: str | None, where: str) -> str:
    place = ", ".join(part for part in (f"view {view!r}" if view else "", where) if part)
    return f"{place}: {message}" if place else message
