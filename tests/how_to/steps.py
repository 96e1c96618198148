"""How-tos as programs: what their Markdown says to write and to run, done in a copy of the tree.

A fenced block is a file where the words before it end with the file's name (``…, in `path`:``), lines of a
file where they end with ``In `path`, after `text`:`` (behind the first line that holds the text), and commands
where it is of the language ``sh``. All other blocks are examples.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INSERT = re.compile(r"[Ii]n `([^`]+)`, after `([^`]+)`[^`\n]*:\s*\Z")
_FILE = re.compile(r"`([\w./-]+\.\w+)`[^`]*:\s*\Z")


@dataclass(frozen=True)
class Step:
    """One block of a how-to: a file (or lines ``after`` a text of it), or commands."""

    content: str
    path: str | None = None
    after: str | None = None


@dataclass
class Copy:
    """A copy of the tree in which how-tos are followed; ``touched`` are the files written by hand."""

    root: Path
    touched: list[str] = field(default_factory=list)

    def follow(self, how_to: str) -> None:
        """Do every step of a page of ``docs/how-to``."""
        for step in steps(how_to):
            if step.path is None:
                self.run(step.content)
            else:
                self.write(step)

    def write(self, step: Step) -> None:
        assert step.path is not None
        path = self.root / step.path
        if step.after is None:
            assert not path.exists(), f"{step.path} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(step.content, encoding="utf-8")
        else:
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            place = next(n for n, line in enumerate(lines, 1) if step.after in line)
            lines.insert(place, step.content)
            path.write_text("".join(lines), encoding="utf-8")
        self.touched.append(step.path)

    def run(self, commands: str, **environment: str) -> str:
        """Run shell commands with the copy's packages; fails with what they printed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.root,
            env=os.environ
            | {
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": str(self.root),
                "PYTEST_ADDOPTS": "-p no:cacheprovider",
            }
            | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def written_by_hand(self) -> set[str]:
        """What was touched, a source's folder as one."""
        return {re.sub(r"^(ingestion/sources/\w+)/.*", r"\1/", path) for path in self.touched}


def copy_of_the_tree(folder: Path) -> Copy:
    """The files that git knows or would add, as they are."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return Copy(folder)


def steps(how_to: str) -> Iterator[Step]:
    """What a page says to do, in its order."""
    text = (ROOT / "docs" / "how-to" / how_to).read_text(encoding="utf-8")
    for fence in _FENCE.finditer(text):
        before = text[: fence.start()].rstrip("\n")
        insert, file = _INSERT.search(before), _FILE.search(before.rpartition("\n\n")[2])
        if fence.group(1) == "sh":
            yield Step(fence.group(2))
        elif insert is not None:
            yield Step(fence.group(2), insert.group(1), insert.group(2))
        elif file is not None:
            yield Step(fence.group(2), file.group(1))
