"""``amortized fit FILE``: fit the guide, run a baseline beside it if asked, print, and write the results."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from amortized import outputs
from amortized.baselines import nuts
from amortized.diagnostics import arviz, picture
from amortized.diagnostics.comparison import Arrays, Difference, Moments, aligned, compare, moments
from amortized.guide import DiffusionGuide
from amortized.model_file import ModelFile, UserError, blaming, load
from amortized.posterior_draws import Draws
from amortized.targets.base import Target
from amortized.targets.devices import available_device

BASELINES: dict[str, Callable[[Target, int], Draws]] = {"nuts": lambda target, seed: nuts.run(target, seed=seed)}
"""What ``--compare`` can run: ``(target, seed) -> Draws``."""

ROWS = 40


def run(arguments: argparse.Namespace) -> None:
    file = load(arguments.file, arguments.model)
    folder = arguments.out or Path("runs") / file.path.stem
    outputs.check_writable(folder)
    guide = make_guide(file, arguments)
    say(f"fitting {file.title}, at most {guide.settings.max_seconds:.0f} s")
    with blaming(file.path):
        guide.fit(*file.args, **file.kwargs)
        data = guide.to_arviz(num_samples=arguments.draws)
    ours = {name: data["posterior"][name].values for name in data["posterior"].data_vars}
    reference = None
    if arguments.compare:
        say(f"fitted in {guide.seconds:.1f} s; running {arguments.compare} on the same density")
        reference = BASELINES[arguments.compare](guide.target, arguments.seed)
    print(report(file, guide, ours, reference))
    write(folder, file, guide, data, ours, reference)
    print(f"\nwritten to {folder}: posterior.nc, summary.csv, posterior.png")


def make_guide(file: ModelFile, arguments: argparse.Namespace) -> DiffusionGuide:
    try:
        device = available_device(arguments.device)
    except ValueError as error:
        raise UserError(f"device {arguments.device} is not there: type --device cpu") from error
    limit = {} if arguments.max_seconds is None else {"max_seconds": arguments.max_seconds}
    return DiffusionGuide(file.model, seed=arguments.seed, device=device, progress=sys.stderr.isatty(), **limit)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def report(file: ModelFile, guide: DiffusionGuide, ours: Arrays, reference: Draws | None) -> str:
    """Verdict, the parameters one a row, and what both methods cost."""
    found = guide.diagnose()
    head = f"{file.title}: {found.verdict}\n{found.advice}"
    if reference is None:
        parameters = posterior_table(moments(ours))
    else:
        parameters = comparison_table(compare(ours, reference.arrays()), reference.method)
    return "\n\n".join([head, parameters, cost_table(file, guide, reference)])


def posterior_table(rows: Sequence[Moments]) -> str:
    table = [["", "mean", "sd", "5 %", "50 %", "95 %"]]
    table += [[row.name, *numbers(row.mean, row.sd, *row.quantiles)] for row in rows[:ROWS]]
    return aligned(table) + unlisted(len(rows))


def comparison_table(rows: Sequence[Difference], method: str) -> str:
    """One row for each scalar, and the largest differences over all of them."""
    table = [["", "guide mean", "sd", f"{method} mean", "sd", "difference in sd", "sd ratio"]]
    for row in rows[:ROWS]:
        ours, theirs = (numbers(found.mean, found.sd) for found in (row.ours, row.reference))
        table.append([row.name, *ours, *theirs, f"{row.shift:+.3f}", f"{row.ratio:.3f}"])
    text = aligned(table) + unlisted(len(rows))
    if rows:
        shift = max(abs(row.shift) for row in rows)
        ratios = [row.ratio for row in rows]
        text += f"\nlargest difference {shift:.3f} sd, sd ratios {min(ratios):.3f} to {max(ratios):.3f}"
    return text


def unlisted(count: int) -> str:
    return f"\nand {count - ROWS} more, in summary.csv" if count > ROWS else ""


def numbers(mean: float, sd: float, *others: float) -> list[str]:
    """As many decimals as show three digits of ``sd``.

    >>> numbers(4.39721, 3.2518), numbers(-0.0012345, 0.0004321), numbers(40123.4, 12000.0)
    (['4.40', '3.25'], ['-0.001234', '0.000432'], ['40123', '12000'])
    """
    decimals = max(0, 2 - math.floor(math.log10(sd))) if 0 < sd < math.inf else math.inf
    return [f"{value:.{decimals}f}" if decimals < 10 else f"{value:.3e}" for value in (mean, sd, *others)]


def cost_table(file: ModelFile, guide: DiffusionGuide, reference: Draws | None) -> str:
    """Seconds, density calls (draws included), log evidence and what each method knows of its own draws."""
    found = guide.diagnose()
    calls = guide.target.calls - (0 if reference is None else reference.target_calls)
    table = [
        ["", "guide"],
        ["seconds", f"{guide.seconds:.1f}"],
        ["density calls", f"{calls:,}"],
        ["log evidence", str(found.log_evidence)],
        ["effective draws", f"{found.ess_fraction:.0%}"],
        ["Pareto k-hat", f"{found.khat:.2f}"],
    ]
    if reference is not None:
        own = "" if reference.log_evidence is None else str(reference.log_evidence)
        column = [reference.method, f"{reference.seconds:.1f}", f"{reference.target_calls:,}", own, "", ""]
        table = [[*row, cell] for row, cell in zip(table, column, strict=True)]
        table += [[name, "", attribute(value)] for name, value in reference.attributes.items()]
    text = aligned(table)
    if file.log_evidence is not None:
        off = found.log_evidence.value - file.log_evidence
        text += f"\nlog evidence in {file.path}: {file.log_evidence:.3f}, the guide's is {off:+.3f} from it"
    return text


def attribute(value: float | int | str) -> str:
    """Floats below 100 with three decimals, larger ones with none.

    >>> attribute(1.00123), attribute(1523.7), attribute(2)
    ('1.001', '1,524', '2')
    """
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"
    return str(value)


def write(
    folder: Path, file: ModelFile, guide: DiffusionGuide, data: Any, ours: Arrays, reference: Draws | None
) -> None:
    """The three files of a run, all of them or none."""
    others = [] if reference is None else [(reference.method, moments(reference.arrays()))]
    assert guide.training_record is not None and guide.posterior is not None
    contents = picture.Contents(
        title=" ".join([file.path.stem.replace("_", " "), *([] if file.name == "model" else [f"({file.name})"])]),
        ours=ours,
        diagnosis=guide.diagnose(),
        log_weights=guide.posterior.weights().cpu().numpy(),
        evaluations=guide.training_record.evaluations,
        enough=guide.recipe.enough,
        baselines={} if reference is None else {reference.method.upper(): reference.arrays()},
        truth=file.log_evidence,
        deterministic=list(guide.target.structure.deterministic),
    )
    with outputs.together(folder) as temporary:
        arviz.save(data, str(temporary / "posterior.nc"))
        outputs.write_summary(temporary / "summary.csv", [("guide", moments(ours)), *others])
        picture.draw(contents).savefig(temporary / "posterior.png")
