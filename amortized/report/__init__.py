"""A report of a fit that a person reads: one page, self-contained."""

from amortized.report.contents import Contents
from amortized.report.from_fit import contents_of, gather
from amortized.report.page import Page, page_of, render, write

__all__ = ["Contents", "Page", "contents_of", "gather", "page_of", "render", "write"]
