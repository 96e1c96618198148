"""Quality: Great Expectations suites as data, their results as rows, and the Data Docs site.

:func:`run` checks one layer; :func:`blocking` names what stops a publish; :func:`judge_submissions`
names what each submission breaks. Importing this package is
cheap: Great Expectations lives in a process of its own (:mod:`quality.worker`), which
:func:`warm_up` starts early and :func:`share` once for many.
"""

from __future__ import annotations

from quality.dbt_nodes import NodeOutcome, store_nodes
from quality.judging import judge_submissions
from quality.results import CheckResult, blocking
from quality.runner import inspect_published, run
from quality.worker import build_data_docs, close, share, warm_up

__all__ = [
    "CheckResult",
    "NodeOutcome",
    "blocking",
    "build_data_docs",
    "close",
    "inspect_published",
    "judge_submissions",
    "run",
    "share",
    "store_nodes",
    "warm_up",
]
