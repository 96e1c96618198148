"""Puts the project's root on the path, so that the suite is one module for pytest and -m."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
