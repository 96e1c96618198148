"""Where the data of each mart starts: asked of the published marts when Superset is bootstrapped."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg2
from psycopg2 import sql

from boards.catalog import Dataset

#: Share of the rows that may be older than the start.
_EARLIER = 0.05


def first_years(address: str, catalog: Mapping[str, Dataset]) -> dict[str, str]:
    """First day of the year from which on nineteen of twenty rows of each mart are.

    ``address`` is that of the marts' database. A mart that is not published yet, or is empty, is left out.
    """
    found = {}
    with psycopg2.connect(address) as connection, connection.cursor() as cursor:
        for name, dataset in catalog.items():
            if dataset.database != "marts" or not dataset.time:
                continue
            cursor.execute("select to_regclass(%s)", [f"{dataset.schema}.{name}"])
            if cursor.fetchone() == (None,):
                continue
            cursor.execute(
                sql.SQL(
                    "select date_trunc('year', percentile_disc(%s) within group (order by {}))::date::text"
                    " from {}"
                ).format(sql.Identifier(dataset.time), sql.Identifier(dataset.schema, name)),
                [_EARLIER],
            )
            (start,) = cursor.fetchone() or (None,)
            if start:
                found[name] = start
    return found
