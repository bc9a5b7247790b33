"""``amortized fit FILE``: fit the guide, run baselines beside it if asked, print, and write the results."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from amortized import report
from amortized._torch import available_device
from amortized.cli.baselines import Ran, run_all, say
from amortized.cli.methods import AS_TYPED
from amortized.cli.tables import printed
from amortized.diagnostics.remedies import in_shell
from amortized.files import outputs
from amortized.files.errors import UserError
from amortized.files.model import ModelFile, blaming, load
from amortized.guide.guide import DiffusionGuide
from amortized.guide.options import Options
from amortized.parallel.group import current, own_device, started
from amortized.report import Contents
from amortized.report.picture import picture
from amortized.results import arviz


def run(arguments: argparse.Namespace) -> int:
    """Fit, compare, print and write; returns 1 where a method to compare with failed, else 0."""
    if started() > 1:
        raise UserError(
            "the fit of one data set trains little and runs in one process: type amortized fit without torchrun, or "
            "--amortize NAME for many data sets"
        )
    if arguments.resume:
        raise UserError("--resume is of a fit on many data sets: leave it out, or type --amortize NAME")
    file = load(arguments.file, arguments.model)
    folder = arguments.out or Path("runs") / file.path.stem
    outputs.check_writable(folder)
    guide = make_guide(file, arguments)
    say(f"fitting {file.title}, at most {guide.plan.seconds:.0f} s")
    with blaming(file.path):
        guide.fit(*file.args, **file.kwargs)
        draws = guide.draws(arguments.draws)
        data = draws.to_arviz()
    posterior = guide.at()
    diagnosis = posterior.diagnose(in_shell(typed(arguments), arguments.seed, guide.plan.seconds))
    say(f"fitted in {guide.seconds:.1f} s")
    ran = run_all(posterior.target, arguments.compare or (), arguments.seed)
    contents = replace(
        report.contents_of(posterior, draws, file.model, diagnosis),
        title=" ".join([file.path.stem.replace("_", " "), *([] if file.name == "model" else [f"({file.name})"])]),
        training=guide.training_record,
        enough=guide.recipe.enough,
        baselines=list(ran.draws.values()),
        failed=ran.failed,
        truth=file.log_evidence,
        code=script(file, arguments),
        command=arguments.command,
    )
    print(printed(file, contents))
    written = write(folder, contents, data, ran, guide, arguments.report)
    print(f"\nwritten to {folder}: {', '.join(written)}")
    if arguments.report:
        print(f"report: {folder / 'report.html'}")
    return 1 if ran.failed else 0


def make_guide(file: ModelFile, arguments: argparse.Namespace) -> DiffusionGuide:
    try:
        device = available_device(own_device(arguments.device))
    except ValueError as error:
        raise UserError(f"device {arguments.device} is not there: type --device cpu") from error
    return DiffusionGuide(
        file.model,
        amortize=arguments.amortize,
        seed=arguments.seed,
        max_seconds=arguments.max_seconds,
        device=device,
        progress=sys.stderr.isatty() and current().ranks.rank == 0,
        checkpoint=arguments.checkpoint,
    )


def typed(arguments: argparse.Namespace) -> str:
    """FILE and the options that choose the model, as they were typed."""
    model = [] if arguments.model == "model" else ["--model", arguments.model]
    device = [] if arguments.device == Options.device else ["--device", arguments.device]
    return shlex.join([str(arguments.file), *model, *device])


def script(file: ModelFile, arguments: argparse.Namespace) -> str:
    """Python that does the same as the command."""
    names: Sequence[str] = list(dict.fromkeys(arguments.compare or ()))
    options = [f"seed={arguments.seed}"]
    options += [] if arguments.max_seconds is None else [f"max_seconds={arguments.max_seconds:g}"]
    options += [] if arguments.device == Options.device else [f"device={arguments.device!r}"]
    called = 'file["data"]()' if callable(getattr(file.module, "data", None)) else 'file["data"]'
    data = f"*{called}" if file.args else f"**{called}" if file.kwargs else ""
    typed = [AS_TYPED[name].format(seed=arguments.seed) for name in names]
    families = sorted({line.split("guide=")[1].split(",")[0] for line in typed if "guide=" in line})
    lines = ["import runpy", ""]
    lines += [f"from pyro.infer.autoguide import {', '.join(families)}", ""] if families else []
    lines += ["from amortized import DiffusionGuide"]
    modules = sorted({line.split(".")[0] for line in typed})
    lines += [f"from amortized.baselines import {', '.join(modules)}"] if modules else []
    lines += ["", f"file = runpy.run_path({str(file.path)!r})"]
    lines += [f'guide = DiffusionGuide(file["{file.name}"], {", ".join(options)}).fit({data})']
    lines += ["baselines = [", *(f"    {line}," for line in typed), "]"] if typed else []
    lines += [f'guide.report("report.html"{", baselines=baselines" if typed else ""})']
    return "\n".join(lines)


def write(folder: Path, contents: Contents, data: Any, ran: Ran, guide: DiffusionGuide, page: bool) -> list[str]:
    """Write the files of a run, all of them or none; returns their names."""
    with outputs.together(folder) as temporary:
        try:
            guide.save(temporary / "guide.safetensors")
        except TypeError as error:  # an argument of the model is no number
            say(f"no guide.safetensors: {error}")
        arviz.save(data, str(temporary / "posterior.nc"))
        for name, record in ran.records.items():
            arviz.save(record, str(temporary / f"{name}.nc"))
        outputs.write_summary(temporary / "summary.csv", contents.descriptions)
        picture(contents).savefig(temporary / "posterior.png")
        if page:
            report.write(temporary / "report.html", contents)
        return sorted(file.name for file in temporary.iterdir())
