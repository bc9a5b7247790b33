"""What is no result is refused in one line that names the file and what is wrong."""

import json

import pytest

from amortized.benchmark.records import malformed, read_results
from amortized.files.errors import UserError


@pytest.mark.parametrize(
    "changed",
    [
        {"target": 3},
        {"seed": "one"},
        {"seed": True},
        {"budget": {"hours": 1}},
        {"budget": {"steps": -1}},
        {"budget": 5},
        {"paths": None},
        {"status": "half"},
        {"status": "failed"},
        {"metrics": [1.0]},
        {"metrics": {"delta": "large"}},
        {"metrics": {"delta": [1.0]}},
        {"metrics": {"missing": ["stein"]}},
        {"training": {"seconds": "long"}},
        {"machine": "mine"},
    ],
)
def test_a_malformed_result_is_one_line(changed, tmp_path):
    good = {"target": "t", "method": "m", "seed": 0, "budget": {"steps": 3}, "paths": 9, "status": "finished"}
    assert malformed({**good, "metrics": {"delta": "inf", "missing": {}}, "training": {"seconds": 1.0}}) == ""
    file = tmp_path / "cell.json"
    file.write_text(json.dumps({**good, **changed}))
    with pytest.raises(UserError, match="is not a result of the benchmark, .*: move it elsewhere") as caught:
        read_results(tmp_path)
    assert "\n" not in str(caught.value)
