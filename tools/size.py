"""No Python file over 500 lines, and a warning over 300: what is longer holds two things.

Tables of numbers are exempt: files named `*_grids.py`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WARN_LINES, FAIL_LINES = 300, 500


def main() -> int:
    """Print the long files; 1 if one is too long."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        capture_output=True,
        text=True,
        check=True,
    )
    too_long = False
    for name in sorted(set(listing.stdout.split())):
        path = Path(name)
        if not path.exists() or path.stem.endswith("_grids"):
            continue
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > WARN_LINES:
            print(f"{name}: {lines} lines" + (", over 500" if lines > FAIL_LINES else ""))
        too_long |= lines > FAIL_LINES
    return int(too_long)


if __name__ == "__main__":
    sys.exit(main())
