"""Quality: Great Expectations suites as data, their results as rows, and the Data Docs site.

:func:`run` checks one layer; :func:`blocking` names what stops a publish; :func:`judge_submissions`
names what each submission breaks. Importing this package is
cheap: Great Expectations is loaded by the first check, or early by :func:`warm_up`
(:mod:`quality.worker`).
"""

from __future__ import annotations

from quality.dbt_nodes import NodeOutcome, store_nodes
from quality.judging import judge_submissions
from quality.results import CheckResult, blocking
from quality.runner import run
from quality.worker import build_data_docs, close, warm_up

__all__ = [
    "CheckResult",
    "NodeOutcome",
    "blocking",
    "build_data_docs",
    "close",
    "judge_submissions",
    "run",
    "store_nodes",
    "warm_up",
]
