"""One FHIRPath tree -> typed logical expression: https://hl7.org/fhirpath/N1/ and the subset and additions of
https://sql-on-fhir.org/ig/StructureDefinition-ViewDefinition.html#supported-fhirpath-functionality.
"""

from dataclasses import replace

from sql_on_fhir import definitions
from sql_on_fhir.ir.expressions import (
    Call,
    Constant,
    Exists,
    Expr,
    Guarded,
    Includes,
    IndexOf,
    Logic,
    Not,
    Nothing,
    Truth,
)
from sql_on_fhir.parsing import fhirpath
from sql_on_fhir.planning.functions import FUNCTIONS, REFUSED
from sql_on_fhir.planning.operations import Operations
from sql_on_fhir.planning.scope import Choice, Invocation, Planned, Scope

_ENVIRONMENT = {
    "ucum": "http://unitsofmeasure.org",
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}
_SYSTEM_TYPES = {
    "String": "string",
    "Boolean": "boolean",
    "Integer": "integer",
    "Decimal": "decimal",
    "Date": "date",
    "DateTime": "dateTime",
    "Time": "time",
    "Quantity": "Quantity",
}
_SUPPORTED = ", ".join(sorted(FUNCTIONS))


class PathPlanner(Operations):
    """Plans the paths of one view."""

    def plan(self, tree: fhirpath.Node, text: str, scope: Scope, type_: str | None) -> Expr:
        """The typed expression of a path; `type_` decides a choice element left open."""
        self.text = text
        return self.settle(self.node(tree, scope), tree, type_)

    def node(self, node: fhirpath.Node, scope: Scope) -> Planned:
        if isinstance(node, fhirpath.Literal):
            return self.literal(node)
        if isinstance(node, fhirpath.EmptySet):
            return Nothing("string")
        if isinstance(node, fhirpath.This):
            return self.this(node, scope)
        if isinstance(node, fhirpath.External):
            return self.external(node, scope)
        if isinstance(node, fhirpath.Member):
            return self.member(node, scope)
        if isinstance(node, fhirpath.Call):
            return self.call(node, scope)
        if isinstance(node, fhirpath.Indexer):
            base = self.expr(node.base, scope)
            index = self.typed(node.index, scope, "integer")
            return self.pick(base, index)
        if isinstance(node, fhirpath.Unary):
            return self.unary(node, scope)
        return self.binary(node, scope)

    def expr(self, node: fhirpath.Node, scope: Scope) -> Expr:
        return self.settle(self.node(node, scope), node)

    def typed(self, node: fhirpath.Node, scope: Scope, kind: str) -> Expr:
        expr = self.one_at(self.settle(self.node(node, scope), node, kind), node)
        if isinstance(expr, Nothing):
            return Nothing(kind)
        if expr.kind != kind and not (kind == "decimal" and expr.kind == "integer"):
            raise self.error(f"expected {kind}, found {expr.type}", node)
        return expr

    def typed_text(self, node: fhirpath.Node, scope: Scope) -> Expr:
        expr = self.one_at(self.expr(node, scope), node)
        if expr.kind != "text":
            raise self.error(f"expected a string, found {expr.type}", node)
        return expr

    def literal(self, node: fhirpath.Literal) -> Expr:
        if node.kind == "quantity":
            raise self.error("quantity literals are not supported", node)
        value: str | bool = node.text == "true" if node.kind == "boolean" else node.text
        return Constant(node.kind, value)

    def this(self, node: fhirpath.This, scope: Scope) -> Expr:
        if node.name == "this":
            return scope.this
        if node.name == "index" and scope.index is not None:
            return scope.index
        raise self.error(f"${node.name} has no meaning here", node)

    def external(self, node: fhirpath.External, scope: Scope) -> Expr:
        constant = self.view.constants.get(node.name)
        if constant is not None:
            return Constant(constant.type, constant.value)
        if node.name == "rowIndex":
            if isinstance(scope.row_index, IndexOf):
                self.indexed.add(scope.row_index.variable)
            return scope.row_index
        if node.name in ("resource", "rootResource"):
            return self.resource
        if node.name == "context":
            return scope.context
        if node.name in _ENVIRONMENT:
            return Constant("string", _ENVIRONMENT[node.name])
        known = ", ".join(f"%{name}" for name in (*self.view.constants, "rowIndex", "resource"))
        raise self.error(f"%{node.name} is not defined; defined are {known}", node)

    def member(self, node: fhirpath.Member, scope: Scope) -> Planned:
        if node.base is None:
            this = scope.this
            at_resource = this is self.resource or this is scope.context
            if (
                at_resource
                and node.name in definitions.ancestors(this.type)
                and definitions.element(this.type, node.name) is None
            ):
                return this
            return self.child(this, node.name, node)
        return self.child(self.node(node.base, scope), node.name, node)

    def unary(self, node: fhirpath.Unary, scope: Scope) -> Expr:
        operand = self.typed(node.operand, scope, "decimal")
        if node.operator == "+" or isinstance(operand, Nothing):
            return operand
        if isinstance(operand, Constant) and isinstance(operand.value, str):
            return replace(operand, value=f"-{operand.value}")
        return Call(operand.type, "negate", operand, ())

    def binary(self, node: fhirpath.Binary, scope: Scope) -> Planned:
        operator = node.operator
        if operator in ("is", "as"):
            type_ = self.type_name(node.right)
            base = self.node(node.left, scope)
            if operator == "as":
                return self.of_type(base, type_, node)
            return self.is_type(base, type_, node)
        if operator in ("and", "or", "xor", "implies"):
            left = self.boolean(node.left, scope)
            return Logic(operator, left, self.boolean(node.right, scope))
        left_, right_ = self.node(node.left, scope), self.node(node.right, scope)
        left = self.settle(left_, node.left, right_.type if isinstance(right_, Expr) else None)
        right = self.settle(right_, node.right, left.type)
        if operator in ("=", "!=", "~", "!~"):
            equal = self.equal(left, right, node, equivalent="~" in operator)
            return Not(equal) if "!" in operator else equal
        if operator == "|":
            return self.union(left, right, node)
        if operator in ("in", "contains"):
            item, collection = (left, right) if operator == "in" else (right, left)
            item = self.one_at(item, node)
            if isinstance(item, Nothing):
                return Nothing("boolean")
            if isinstance(collection, Nothing):
                return Constant("boolean", False)
            item, collection = self.same_kind(item, collection, node)
            if not definitions.compatible(item.type, collection.type):
                no = Constant("boolean", False)
                return Guarded(no, Exists(item))
            return Includes(collection, item)
        left, right = self.one_at(left, node.left), self.one_at(right, node.right)
        if operator in ("<", "<=", ">", ">="):
            return self.compare(operator, left, right, node)
        return self.arithmetic(operator, left, right, node)

    def boolean(self, node: fhirpath.Node, scope: Scope) -> Expr:
        """Singleton evaluation: https://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections"""
        planned = self.node(node, scope)
        if isinstance(planned, Choice):
            booleans = [t for t in planned.element.types if t == "boolean"]
            planned = self.variant(planned, "boolean") if booleans else self.exists(planned)
        expr = self.one_at(planned, node)
        if isinstance(expr, Nothing):
            return Nothing("boolean")
        return expr if expr.type == "boolean" else Truth(expr)

    def criterion(self, node: fhirpath.Node, scope: Scope) -> Expr:
        planned = self.node(node, scope)
        if isinstance(planned, Choice) and "boolean" in planned.element.types:
            planned = self.variant(planned, "boolean")
        expr = self.one_at(self.settle(planned, node), node)
        if expr.type != "boolean" and not isinstance(expr, Nothing):
            raise self.error(f"a criterion gives true or false, this gives {expr.type}", node)
        return expr

    def type_name(self, node: fhirpath.Node) -> str:
        """`Quantity`, `FHIR.Quantity` or `System.String`, as an argument or after is and as."""
        if isinstance(node, fhirpath.Literal) and node.kind == "string":
            name = node.text
            prefix = None
        elif isinstance(node, fhirpath.Member):
            name = node.name
            base = node.base
            prefix = base.name if isinstance(base, fhirpath.Member) else None
        else:
            raise self.error("expected the name of a type", node)
        if prefix == "System" or (prefix is None and definitions.lookup(name) is None):
            name = _SYSTEM_TYPES.get(name, name)
        if prefix not in (None, "FHIR", "System") or definitions.lookup(name) is None:
            raise self.error(f"{name!r} is not a type of FHIR R4", node)
        return name

    def call(self, node: fhirpath.Call, scope: Scope) -> Planned:
        entry = FUNCTIONS.get(node.name)
        if entry is None:
            known = node.name in REFUSED
            why = "is FHIRPath but not supported here" if known else "is not a function"
            raise self.error(f"{node.name}() {why}; supported: {_SUPPORTED}", node)
        planner, least, most = entry
        if not least <= len(node.arguments) <= most:
            counts = str(least) if least == most else f"{least} to {most}"
            raise self.error(
                f"{node.name}() takes {counts} arguments, not {len(node.arguments)}", node
            )
        base = scope.this if node.base is None else self.node(node.base, scope)
        return planner(self, Invocation(node, base, scope, self.settle))
