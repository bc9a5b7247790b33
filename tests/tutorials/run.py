"""Runs a tutorial from its own folder as a reader would, and reads the figures that it leaves."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TUTORIALS = Path(__file__).parents[2] / "tutorials"


def quick_run(name: str, out: Path, seconds: float = 600) -> dict[str, Any]:
    """Figures of ``tutorials/name/main.py --quick``; its pictures lie in ``out``."""
    command = [sys.executable, "main.py", "--quick", "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=TUTORIALS / name, env=environment, capture_output=True, text=True, timeout=seconds
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return json.loads((out / "figures.json").read_text())
