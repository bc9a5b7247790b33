"""Results to tables: for every target and budget one row a method, means over seeds with their std."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from amortized.benchmark.budget import Budget
from amortized.benchmark.cells import EXACT, budget_text

Result = Mapping[str, Any]
"""One cell's JSON."""

Published = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Values from elsewhere: ``{target: {method: {metric: value}}}``."""


class Column(NamedTuple):
    """``part`` and ``name``: where a result keeps the value; ``meaning``: one line under the tables."""

    part: str
    name: str
    title: str
    meaning: str


COLUMNS = (
    Column("metrics", "delta", "Δ", "log Z − ELBO, nats"),
    Column("metrics", "rw", "RW", "log Z − its estimate by path weights, nats"),
    Column("metrics", "elbo", "ELBO", "mean log weight of paths, nats"),
    Column("metrics", "log_evidence", "log Ẑ", "log mean weight of paths, nats"),
    Column("metrics", "eubo", "EUBO", "mean log weight of paths noised back from exact draws, nats"),
    Column("metrics", "gap", "gap", "EUBO − ELBO, nats"),
    Column("metrics", "ess_fraction", "ESS", "effective share of the draws"),
    Column("metrics", "reverse_ess_fraction", "reverse ESS", "the same, from exact draws: sees lost modes"),
    Column("metrics", "wasserstein2", "W2", "distance from exact draws by optimal transport, the root"),
    Column("metrics", "sinkhorn", "Sinkhorn", "its entropic form, the root, by 500 draws of each"),
    Column("metrics", "mmd", "MMD", "maximum mean discrepancy from exact draws"),
    Column("metrics", "largest_mode_weight_error", "mode error", "the largest error among the modes' weights"),
    Column("metrics", "entropic_mode_coverage", "EMC", "entropic mode coverage, 1 at best"),
    Column("metrics", "stein", "Stein", "kernel Stein discrepancy, without exact draws"),
)
"""Metrics in the order of the table: bounds and log Z, weights, distances, modes."""

COSTS = (
    Column("training", "energy_calls", "energy calls", "densities evaluated in training, one a particle"),
    Column("training", "network_calls", "network calls", "states at which the network was evaluated in training"),
    Column("training", "steps", "steps", "gradient steps"),
)
"""The cost, the same in every run of a cell."""

TIMES = (Column("training", "seconds", "seconds", "of training, on the budget's clock"),)
"""What differs between two runs of a cell; ``--no-times`` leaves it out."""

REPLACED = {"elbo": "delta", "eubo": "delta", "log_evidence": "rw"}
"""Values that are not shown beside these others, which need a known log Z."""


@dataclass
class ResultTable:
    """One target at one budget.

    ``rows``: text under ``head``. ``notes``, ``failures`` and ``missing`` are sentences: of the target, of cells that
    raised, and of metrics that could not be measured.
    """

    title: str
    head: list[str]
    rows: list[list[str]]
    notes: list[str]
    failures: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def result_tables(
    results: Sequence[Result],
    times: bool = True,
    methods: Sequence[str] | None = None,
    published: Published | None = None,
) -> list[ResultTable]:
    """One table for each target and budget; the first row is of exact draws, the noise floors.

    Args:
        results: Results of cells.
        times: ``False`` leaves out everything that differs between two runs of the same cells.
        methods: Only these, in this order; all of them in the order of the alphabet by default.
        published: Values from elsewhere, each in a column beside the metric.
    """
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        if result["method"] != EXACT and (methods is None or result["method"] in methods):
            title = f"{budget_text(Budget(**result['budget']))}, {result['paths']:,} paths"
            groups.setdefault((result["target"], title), []).append(result)
    tables = []
    for (target, title), group in sorted(groups.items()):
        paths = group[0]["paths"]
        floors = [result for result in results if (result["method"], result["target"]) == (EXACT, target)]
        group += [result for result in floors if result["paths"] == paths]
        columns = shown_columns(group, times)
        tables.append(result_table(f"{target}, {title}", group, columns, methods, (published or {}).get(target, {})))
    return tables


def shown_columns(group: Sequence[Result], times: bool) -> list[Column]:
    """Those for which some result has a value."""
    wanted = [*COLUMNS, *(TIMES if times else ()), *COSTS]
    columns = [column for column in wanted if values_of(group, column)]
    names = {column.name for column in columns}
    return [column for column in columns if REPLACED.get(column.name) not in names]


def values_of(results: Sequence[Result], column: Column) -> list[float]:
    """The column's value in every result that has it."""
    values = (result.get(column.part, {}).get(column.name) for result in results)
    return [float(value) for value in values if value is not None]


def result_table(
    title: str,
    group: Sequence[Result],
    columns: Sequence[Column],
    methods: Sequence[str] | None,
    published: Mapping[str, Mapping[str, float]],
) -> ResultTable:
    names = {result["method"] for result in group}
    order = sorted(names - {EXACT}) if methods is None else [name for name in methods if name in names]
    has_published = {column.name for column in columns if any(column.name in row for row in published.values())}
    head = ["method", "seeds"]
    for column in columns:
        head += [column.title, f"{column.title} published"] if column.name in has_published else [column.title]
    rows = []
    for name in [*(names & {EXACT}), *order]:
        of_method = [result for result in group if result["method"] == name]
        row = [name, seeds_text(of_method)]
        for column in columns:
            row.append(cell_text(of_method, column))
            if column.name in has_published:
                value = published.get(name, {}).get(column.name)
                row.append("" if value is None else number_text(value))
        rows.append(row)
    failures = [
        f"{result['method']}, seed {result['seed']}: {result['error']}"
        for result in group
        if result["status"] == "failed"
    ]
    return ResultTable(title, head, rows, truth_notes(group), failures, missing_values(group))


def cell_text(results: Sequence[Result], column: Column) -> str:
    """Mean and std over seeds; the number of seeds too, if some finished seeds have no value."""
    values = values_of(results, column)
    finished = sum(result["status"] == "finished" for result in results)
    return mean_and_std_text(values) + (f" ({len(values)} of {finished})" if 0 < len(values) < finished else "")


def missing_values(group: Sequence[Result]) -> list[str]:
    """A sentence for every reason: the columns, the reason, and the cells unless it is all of them."""
    titles = {column.name: column.title for column in COLUMNS}
    finished = [result for result in group if result["status"] == "finished" and result["method"] != EXACT]
    cells: dict[tuple[str, str], list[str]] = {}
    for result in finished:
        for name, reason in result.get("metrics", {}).get("missing", {}).items():
            cells.setdefault((name, reason), []).append(f"{result['method']} seed {result['seed']}")
    names: dict[tuple[str, str], list[str]] = {}
    for (name, reason), where in cells.items():
        listed = "" if len(where) == len(finished) else f" ({', '.join(where)})"
        names.setdefault((reason, listed), []).append(titles.get(name, name))
    return [f"{', '.join(titles)}: {reason}{listed}" for (reason, listed), titles in names.items()]


def seeds_text(results: Sequence[Result]) -> str:
    """How many seeds, and how many of them failed."""
    failed = sum(result["status"] == "failed" for result in results)
    return f"{len(results)}, {failed} failed" if failed else str(len(results))


def truth_notes(group: Sequence[Result]) -> list[str]:
    """Dimension and truth."""
    known = next((result for result in group if result["status"] == "finished"), None)
    if known is None:
        return []
    truth = known["truth"]
    said = "unknown" if truth is None else f"{truth['value']:.4f} ± {truth['std_error']:.4f} nats"
    return [f"{known['dimension']} dimensions; log Z {said}"]


def mean_and_std_text(values: Sequence[float]) -> str:
    """Mean ± standard deviation with the decimals of the mean; no mean if a value is not finite.

    >>> mean_and_std_text([0.21, 0.19, 0.23]), mean_and_std_text([640, 640]), mean_and_std_text([])
    ('0.210 ± 0.020', '640', '–')
    >>> mean_and_std_text([math.inf, 1.0]), mean_and_std_text([math.nan, math.nan])
    ('1 of 2 finite', 'nan')
    """
    if not values:
        return "–"
    finite = sum(map(math.isfinite, values))
    if finite < len(values):
        return str(values[0]) if len(set(map(str, values))) == 1 else f"{finite} of {len(values)} finite"
    mean = statistics.fmean(values)
    if len(values) == 1 or min(values) == max(values):
        return number_text(mean)
    return f"{number_text(mean)} ± {number_text(statistics.stdev(values), mean)}"


def number_text(value: float, like: float | None = None) -> str:
    """Three decimals below 10, fewer above, none of a whole number; as many as ``like`` would have.

    >>> number_text(0.0412), number_text(-41.26), number_text(20.0), number_text(2_345_678.9)
    ('0.041', '-41.26', '20', '2,345,679')
    >>> number_text(0.00001), number_text(0.0)
    ('1e-05', '0')
    """
    if like is None and float(value).is_integer():
        return f"{value:,.0f}"
    size = abs(value if like is None else like)
    if like is None and 0 < size < 5e-4:
        return f"{value:.0e}"
    decimals = 3 if size < 10 else 2 if size < 100 else 1 if size < 1_000 else 0
    return f"{value:,.{decimals}f}"
