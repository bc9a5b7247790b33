"""A report of a fit that a person reads: one page, self-contained."""

from amortized.report.contents import Contents
from amortized.report.gather import gather
from amortized.report.page import render, write

__all__ = ["Contents", "gather", "render", "write"]
