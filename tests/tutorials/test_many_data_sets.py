"""The tutorial of a thousand outbreaks runs from its own folder, and leaves what it promises."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "tutorials" / "many_data_sets"


@pytest.mark.slow
def test_the_quick_run_leaves_figures_and_pictures(tmp_path):
    command = [sys.executable, "main.py", "--quick", "--out", str(tmp_path)]
    done = subprocess.run(
        command, cwd=FOLDER, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["training seconds"] < 60 and figures["milliseconds a posterior"] > 0
    assert figures["three waves: verdict"] == "not to be trusted"
    assert {file.name for file in tmp_path.iterdir()} >= {"beside_nuts.png", "calibration.png"}
