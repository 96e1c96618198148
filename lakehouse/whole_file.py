"""Files that several processes write and read: each reader sees the old content or the new one."""

from __future__ import annotations

import tempfile
from pathlib import Path


def write(path: Path, content: str | bytes) -> None:
    """Put ``content`` (text as UTF-8) at ``path``, whole or not at all; readable by its owner alone."""
    data = content.encode() if isinstance(content, str) else content
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    Path(file.name).replace(path)
