"""The table of `modellers.py`: a row a run, and which of the limits hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from support import markdown_row

MEAN_ERROR, SD_LOW, SD_HIGH, QUANTILE_ERROR, SECONDS = 0.15, 0.85, 1.18, 0.2, 120.0
"""What a row has to hold: a mean wrong by .15 sd leaves a 90 % interval with 89 % of the mass."""
EVIDENCE, STD_ERRORS = 0.1, 3.0
"""Nats that do not matter to a comparison of models, or the usual three standard errors."""
UNTRUSTED = "not to be trusted"
TRUSTED = ("trustworthy", "usable after resampling")
HEADER = (
    "| model | method | seed | mean error / sd | sd ratio | quantile error / sd | log Z off | draws | evidence | from "
    "| effective draws | a second | CPU s fit + draws | wall s | calls | MB | |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
)
COLUMNS = 17


def misses(row: Mapping[str, Any]) -> list[str]:
    """What a row does not hold, in words."""
    if "failed" in row:
        return [row["failed"]]
    found = []
    if not row["mean_error"] <= MEAN_ERROR:
        found.append("mean")
    if not (row["sd_low"] >= SD_LOW and row["sd_high"] <= SD_HIGH):
        found.append("sd")
    if not row["quantile_error"] <= QUANTILE_ERROR:
        found.append("quantile")
    if row["method"] == "guide":
        if row["fit_seconds"] + row["draw_seconds"] > SECONDS:
            found.append("seconds")
        if row["verdict"] not in TRUSTED:
            found.append("draws not trusted")
        allowed = max(EVIDENCE, STD_ERRORS * row["log_evidence_std_error"])
        if row["evidence_verdict"] in TRUSTED and abs(row.get("log_evidence_off", 0.0)) > allowed:
            found.append("log Z")
    return found


def cells(row: Mapping[str, Any]) -> list[str]:
    name = row["method"] + "".join(f" without {part}" for part in row["skip"])
    first = [row["model"], name, str(row["seed"])]
    if "failed" in row:
        return [*first, *[""] * (COLUMNS - 4), f"MISS: {row['failed']}"]
    draw, draw_cpu = row.get("draw_seconds", 0.0), row.get("draw_cpu_seconds", 0.0)
    cpu = row["fit_cpu_seconds"] + draw_cpu
    missed = misses(row)
    off = f"{row['log_evidence_off']:+.3f} ± {row['log_evidence_std_error']:.3f}" if "log_evidence_off" in row else ""
    return [
        *first,
        f"{row['mean_error']:.3f}",
        f"{row['sd_low']:.2f}–{row['sd_high']:.2f}",
        f"{row['quantile_error']:.3f}",
        off,
        row["verdict"],
        row.get("evidence_verdict", ""),
        row.get("source", ""),
        f"{row['effective']:,.0f}",
        f"{row['effective'] / cpu:,.1f}",
        f"{row['fit_cpu_seconds']:.1f} + {draw_cpu:.1f}",
        f"{row['fit_seconds'] + draw:.0f}",
        f"{row['calls']:,}",
        f"{row['peak_mb']:,.0f}",
        "MISS: " + ", ".join(missed) if missed else "holds",
    ]


def table(rows: Iterable[Mapping[str, Any]], order: Iterable[str]) -> str:
    """The rows by model, in the order of the cases, then by method and seed."""
    places = {name: place for place, name in enumerate(order)}
    ordered = sorted(rows, key=lambda row: (places[row["model"]], row["method"], row["skip"], row["seed"]))
    held = sum(not misses(row) for row in ordered if row["method"] == "guide")
    of = sum(row["method"] == "guide" for row in ordered)
    lines = [f"{held} of {of} runs of the guide hold.", "", *HEADER] if of > 1 else list(HEADER)
    return "\n".join([*lines, *(markdown_row(cells(row)) for row in ordered)])
