"""Numbers as text."""

from dataclasses import replace

from amortized.diagnostics.comparison import Description
from amortized.report import tables
from amortized.weights import Estimate
from tests.report.contents import made

ROW = Description("mu", 1.0, 2.0, (-2.0, 1.0, 4.0))


def test_summary_of_methods_that_agree_differ_or_lack_a_scalar():
    rows = tables.summary({"guide": [ROW], "near": [ROW], "far": [replace(ROW, mean=2.0)], "none": []})["mu"]
    assert [row.differs for row in rows] == [False, False, True, False]
    assert [row.cells[-1] for row in rows] == ["", "+0.000", "-0.500", "–"]


def test_evidences_beyond_their_errors_are_marked():
    guide, near, far = Estimate(-2.0, 0.1), Estimate(-2.4, 0.1), Estimate(-2.6, 0.1)
    assert tables.evidence_text(near, guide) == "-2.400 ± 0.100", "2.8 standard errors of both"
    assert tables.evidence_text(far, guide) == "-2.600 ± 0.100 ◆"
    assert tables.difference_from(Estimate(-2.36, 0.1), -2.0) == "-0.360 ◆"
    assert tables.evidence_text(None, guide) == "–"


def test_costs_say_what_is_not_known():
    guide, nuts, _ = tables.cost_rows(made())
    assert guide[:6] == ("guide", "200", "3.0", "12", "-2.000 ± 0.010", "+0.000")
    assert guide.remarks == "effective draws 90%, Pareto k-hat 0.30"
    assert nuts == ("nuts", "200", "2.0", "99", "–", "–", "–")
    assert tables.cost_rows(replace(made(), truth=None))[0].difference == "–"
