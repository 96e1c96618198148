"""Runs the suite and writes its report format.

    python -m tests.conformance.report [--cases FOLDER] [--out FILE]

The report (test-report.schema.json of the suite): file -> tests -> name, result.passed.
Exits with 1 where a case fails.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import duckdb

from tests.conformance.suite import VENDORED, cases, why_failed


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="SQL on FHIR v2 conformance report")
    parser.add_argument("--cases", type=Path, default=VENDORED)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    report: dict[str, dict[str, list[dict[str, Any]]]] = {}
    failed = 0
    with duckdb.connect() as con:
        for case in cases(options.cases):
            why = why_failed(case, con)
            result: dict[str, Any] = {"passed": why is None}
            if why is not None:
                failed += 1
                result["reason"] = why
            tests = report.setdefault(case.file, {"tests": []})["tests"]
            tests.append({"name": case.title, "result": result})
    lines = []
    for file, entry in report.items():
        passed = [test["result"]["passed"] for test in entry["tests"]]
        lines.append(f"{file:<26} {sum(passed):>3} of {len(passed):>3}")
        lines += [
            f"    {test['name']}: {test['result']['reason']}"
            for test in entry["tests"]
            if not test["result"]["passed"]
        ]
    total = sum(len(entry["tests"]) for entry in report.values())
    lines.append(f"{'all':<26} {total - failed:>3} of {total:>3}")
    sys.stdout.write("\n".join(lines) + "\n")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(report, indent=2) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
