"""The import rules of the architecture, held by reading the imports of every module.

Dependencies point down: the command line on top, then what knows Dagster, then ingestion,
transformation, quality and publishing, then what makes an installation, then the ground floor;
sql_on_fhir uses nothing of ours.
"""

from __future__ import annotations

import ast
import runpy
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Package → packages of ours that it may import: only those on floors below its own.
MAY_IMPORT: dict[str, set[str]] = {
    "sql_on_fhir": set(),
    "lakehouse": set(),
    "installation": {"lakehouse"},
    "ingestion": {"lakehouse", "sql_on_fhir"},
    "quality": {"lakehouse"},
    "transformation": {"lakehouse", "installation", "sql_on_fhir"},
    "publishing": {"lakehouse", "installation", "quality"},
    "hub": {"lakehouse", "installation"},
    "orchestration": {
        "lakehouse",
        "installation",
        "ingestion",
        "quality",
        "transformation",
        "publishing",
    },
}
MAY_IMPORT["cli"] = set(MAY_IMPORT)
OURS = set(MAY_IMPORT)


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(module: Path) -> set[str]:
    """Top-level names that ``module`` imports, anywhere in its text."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.partition(".")[0])
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{module.relative_to(ROOT)} uses a relative import")
    return names


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package}
    wrong = [
        f"{module.relative_to(ROOT)} imports {name}"
        for module in modules(package)
        for name in imported(module) & OURS
        if name not in allowed
    ]
    assert wrong == []


def test_only_orchestration_imports_dagster() -> None:
    wrong = [
        str(module.relative_to(ROOT))
        for package in OURS - {"orchestration"}
        for module in modules(package)
        if any(name.startswith("dagster") for name in imported(module))
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", ["dbt", "alembic", "superset"])
def test_folders_named_as_libraries_do_not_shadow_them(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


def test_no_module_is_named_for_nothing() -> None:
    forbidden = {"utils.py", "helpers.py", "common.py", "misc.py", "manager.py", "handler.py"}
    found = [str(path) for package in OURS for path in modules(package) if path.name in forbidden]
    assert found == []


def test_every_module_says_what_lives_in_it() -> None:
    silent = [
        str(module.relative_to(ROOT))
        for package in OURS
        for module in modules(package)
        if module.read_text(encoding="utf-8").strip()
        and ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) is None
    ]
    assert silent == []


def test_no_error_is_swallowed_whole() -> None:
    wrong = []
    for package in OURS:
        for module in modules(package):
            for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.ExceptHandler):
                    continue
                bare = node.type is None
                broad = isinstance(node.type, ast.Name) and node.type.id == "Exception"
                silent = len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
                if bare or (broad and silent):
                    wrong.append(f"{module.relative_to(ROOT)}:{node.lineno}")
    assert wrong == []


def test_data_files_of_packages_are_in_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["*"]
    left_out = [
        str(path.relative_to(ROOT))
        for package in OURS
        for path in sorted((ROOT / package).rglob("*"))
        if path.is_file() and path.suffix not in (".py", ".pyc")
        if not any(path.match(pattern) for pattern in patterns)
    ]
    assert left_out == []


def test_the_floor_plan_is_drawn_from_the_imports() -> None:
    plan = runpy.run_path(str(ROOT / "docs" / "floor_plan.py"))
    assert set(plan["ROOMS"]) == OURS
    assert plan["page"]() == plan["PAGE"].read_text(encoding="utf-8"), "python docs/floor_plan.py"


def test_each_decision_record_has_a_number_of_its_own() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    numbers = [record.name[:4] for record in records]
    assert [number for number in numbers if numbers.count(number) > 1] == []
    titles = [record.read_text(encoding="utf-8").splitlines()[0] for record in records]
    assert [title[2:6] for title in titles] == numbers
