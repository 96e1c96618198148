"""docs/how-to/add-a-source.md, followed word by word, gives a source whose table behaves as FHIR's do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.how_to.steps import Copy, copy_of_the_tree


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    copy = copy_of_the_tree(tmp_path_factory.mktemp("tree"))
    copy.follow("add-a-source.md")
    yield copy


def test_a_source_with_a_silver_table_is_four_files(followed: Copy) -> None:
    assert followed.written_by_hand() == {
        "ingestion/sources/weighing/",
        "ingestion/sources/__init__.py",
        "dbt/models/silver/laboratory/weighing_result.sql",
        "dbt/models/silver/laboratory/weighing_result.yml",
    }


def test_its_drops_are_landed_corrected_withdrawn_and_rebuilt(followed: Copy) -> None:
    followed.run(
        "pytest -q -x tests/how_to/inside/weighing_drops.py tests/how_to/inside/weighing_histories.py"
    )
