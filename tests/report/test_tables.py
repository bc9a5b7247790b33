"""Numbers as text."""

from dataclasses import replace

from amortized.diagnostics.comparison import Description
from amortized.report import tables
from tests.report.contents import made

ROW = Description("mu", 1.0, 2.0, (-2.0, 1.0, 4.0))


def test_summary_of_methods_that_agree_differ_or_lack_a_scalar():
    rows = tables.summary({"guide": [ROW], "near": [ROW], "far": [replace(ROW, mean=2.0)], "none": []})["mu"]
    assert [row.differs for row in rows] == [False, False, True, False]
    assert [row.cells[-1] for row in rows] == ["", "+0.000", "-0.500", "–"]


def test_costs_say_what_is_not_known():
    guide, nuts, _ = tables.cost_rows(made())
    assert guide[:6] == ("guide", "200", "3.0", "12", "-2.000 ± 0.010", "+0.000")
    assert guide.remarks == "effective draws 90%, Pareto k-hat 0.30"
    assert nuts == ("nuts", "200", "2.0", "99", "–", "–", "–")
    assert tables.cost_rows(replace(made(), truth=None))[0].difference == "–"
