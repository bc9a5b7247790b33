"""The file in which a fit keeps what it has done, so that a killed one goes on from there.

A fit is a few stages. Each depends on the state before it, random numbers included, and on nothing else. So a fit that
goes on from a stage ends where it would have ended anyway, unless a time limit cuts it short.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import amortized.guide.saving as saving
from amortized._types import Tensor
from amortized.guide.fitted import Fitted
from amortized.guide.many import Call, Many
from amortized.guide.plan import Plan
from amortized.storage.file import write
from amortized.storage.tree import packed
from amortized.storage.version import VERSION
from amortized.targets.pyro.failures import tell

FREE = ("max_seconds", "progress", "replicas")
"""Options that may be others when a fit goes on: they change no draw of what is done."""
REMEDY = "give another checkpoint=, or remove the file"
"""What to do about a file of another fit; the end of each refusal."""


class Checkpoint:
    """The file of one fit: the guide's own, of which the training may be missing.

    Args:
        folder: Where it lies; replicas have files of their own there.
        plan: Of the fit.
    """

    def __init__(self, folder: str | Path, plan: Plan):
        self.plan = plan
        self.file = Path(folder) / f"fit-{plan.options.seed}.safetensors"

    def keep(self, fit: Fitted, seconds: float) -> None:
        """Write what is there after so many seconds; of many data sets nothing, as long as nothing is trained."""
        if isinstance(fit, Many) and fit.training_record is None:
            return
        try:
            write(self.file, *saving.content_of([(fit, seconds)], self.plan, VERSION))
        except OSError as error:  # a full disk costs no fit
            tell(f"the checkpoint {self.file} was not written ({error}): the fit goes on")

    def found(self, model: Callable, call: Call) -> tuple[Fitted, float] | None:
        """What an earlier call has kept, and the seconds that it took; None where there is nothing.

        Raises:
            OSError: The folder cannot be made.
            UnreadableFile: The file is damaged, or of another version.
            ValueError: It is of another model, or of other options or data.
            TypeError: An argument of the model is no number, or an option that is code is missing or too many.
        """
        tensors: dict[str, Tensor] = {}
        words = {"args": packed(call.args, "args", tensors), "kwargs": packed(call.kwargs, "kwargs", tensors)}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        if not self.file.exists():
            return None
        saved = saving.opened(self.file, self.plan.name, VERSION)
        self._check_options(saved)
        is_same = json.dumps(words) == json.dumps({name: saved.words[name] for name in words})
        if not is_same or not all(_equal(value, saved.tensors.get(name)) for name, value in tensors.items()):
            raise ValueError(f"{self.file} is of a fit to other data: {REMEDY}")
        return saving.rebuilt(saved, model, [self.plan])[0]

    def _check_options(self, saved: saving.Saved) -> None:
        """Raises ``ValueError``, or ``TypeError`` for those that are code, which names the first that differs."""
        saving.options_of(saved, {name: getattr(self.plan.options, name) for name in saving.GIVEN_AGAIN})
        there, here = saved.words["options"], json.loads(json.dumps(saving.words_of_options(self.plan)))
        for name in sorted({*there, *here} - {*FREE}):
            if there.get(name) != here.get(name):
                raise ValueError(
                    f"{self.file} is of a fit with {name}={there.get(name)!r}, here it is {here.get(name)!r}: {REMEDY}"
                )


def _equal(one: Tensor, other: Tensor | None) -> bool:
    """Whether both have the same numbers, or NaN at the same places."""
    if other is None or (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    one = one.detach().cpu()
    return bool(((one == other) | ((one != one) & (other != other))).all()) if one.numel() else True
