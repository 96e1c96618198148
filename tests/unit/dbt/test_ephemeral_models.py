"""Ephemeral models are put where dbt puts them."""

from __future__ import annotations

import pytest
from dbt.compilation import inject_ctes_into_sql as dbt_puts_them
from dbt.contracts.graph.nodes import InjectedCTE

from transformation.dbt_runner import with_ephemeral_models

CTES = [
    InjectedCTE(id="a", sql="__dbt__cte__a as (\n-- Grain: one row.\nselect 1 as n\n)"),
    InjectedCTE(id="b", sql="__dbt__cte__b as (select * from __dbt__cte__a)"),
]


@pytest.mark.parametrize(
    "sql",
    [
        "select * from __dbt__cte__b",
        "-- Grain: with one row.\n\nselect * from __dbt__cte__b",
        "\n/* with */ -- select\nwith own as (select 1) select * from own, __dbt__cte__b",
        "WITH own AS (select 1) select * from own",
        "with recursive own as (select 1 union all select 2) select * from own",
        "select * from (with inner_one as (select 1) select * from inner_one)",
        "select 1 as within",
        "withdrawn",
    ],
)
def test_they_stand_where_dbt_puts_them(sql: str) -> None:
    ours, theirs = with_ephemeral_models(sql, CTES), dbt_puts_them(sql, CTES)
    assert "".join(ours.split()) == "".join(theirs.split())
    assert with_ephemeral_models(sql, []) == sql
