"""Any history of weighings gives the table of one clean build; run in a tree that has the source."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.integration.dbt.bronze import Silver
from tests.integration.dbt.conftest import parsed_once, silver

__all__ = ["parsed_once", "silver"]

_ROWS = st.fixed_dictionaries(
    {
        "balance_id": st.sampled_from(["a", "b"]),
        "weighing_number": st.integers(1, 2),
        "revision": st.sampled_from([None, 1, 2]),
        "net_mass_g": st.integers(1, 9),
        "is_void": st.sampled_from([False, False, False, True]),
    }
)
_EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("land"), st.lists(_ROWS, min_size=1, max_size=4)),
        st.tuples(st.just("withdraw"), st.integers(0, 9)),
    ),
    min_size=1,
    max_size=3,
)


@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(history=st.lists(st.tuples(_EVENTS, st.booleans()), min_size=2, max_size=4))
def test_any_history_of_drops_gives_the_table_of_one_clean_build(
    silver: Silver, history: list[tuple[list[tuple[str, Any]], bool]]
) -> None:
    silver.reset()
    withdrawn: set[str] = set()
    for events, dies in history:
        for what, said in events:
            if what == "land":
                silver.land(weighing=said)
            elif silver.submissions:
                name = silver.submissions[said % len(silver.submissions)]
                if name not in withdrawn:
                    withdrawn.add(name)
                    silver.withdraw(name)
        silver.build(select="+weighing_result", dies=dies)
    silver.build(select="+weighing_result")
    step_by_step = silver.rows("silver.weighing_result")
    silver.build(select="+weighing_result", full_refresh=True)
    assert step_by_step == silver.rows("silver.weighing_result")
