"""A fit that was killed goes on from what its checkpoint has, and ends with the same numbers."""

import json
from pathlib import Path
from typing import cast

import pytest
import torch

from amortized import DiffusionGuide
from amortized.guide import checkpoint
from amortized.guide.checkpoint import Checkpoint
from amortized.guide.fitted import Fitted
from amortized.guide.many import Call
from amortized.guide.single import Single
from amortized.storage.file import read
from tests.amortization.quick import BRIEF
from tests.guide.test_saved_single import Y, groups

MEASURED = ("seconds", "fit_seconds", "seconds_a_call", "seconds_a_path")
"""Times, which no two runs have in common."""


class Killed(BaseException):
    """Ends a fit where nothing catches it."""


def untimed(words):
    if isinstance(words, dict):
        return {key: untimed(part) for key, part in words.items() if key not in MEASURED}
    return [untimed(part) for part in words] if isinstance(words, list) else words


def numbers(folder: Path, seed: int = 0):
    tensors, words = read(folder / f"fit-{seed}.safetensors")
    return tensors, json.dumps(untimed(words))


def fit(folder: Path, **options) -> DiffusionGuide:
    options = {"recipe": BRIEF, "progress": False, "checkpoint": folder, **options}
    return DiffusionGuide(groups, **options).fit(Y)


@pytest.mark.slow
def test_a_killed_fit_goes_on_to_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = fit(tmp_path / "whole", replicas=2)

    def killed(*arguments):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Single, "train", killed)
        fit(tmp_path / "killed", replicas=2)
    before = torch.get_rng_state()
    again = fit(tmp_path / "killed", replicas=2)
    assert torch.equal(before, torch.get_rng_state())
    for seed in (0, 1):
        one, other = numbers(tmp_path / "whole", seed), numbers(tmp_path / "killed", seed)
        assert one[1] == other[1]
        assert all(torch.equal(one[0][name], other[0][name]) for name in one[0])
    assert torch.equal(whole.sample(50)["mean"], again.sample(50)["mean"])

    with monkeypatch.context() as patch:
        patch.setattr(Single, "train", killed)  # all of it is there: nothing is trained
        finished = fit(tmp_path / "killed", replicas=2, max_seconds=300)
    assert finished.seconds == again.seconds
    for options, message in (
        ({"langevin": True}, "with langevin=None, here it is True"),
        ({"recipe": None}, "recipe="),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            fit(tmp_path / "killed", **options)
    with pytest.raises(ValueError, match="is of a fit to other data: give another checkpoint="):
        DiffusionGuide(groups, recipe=BRIEF, progress=False, checkpoint=tmp_path / "killed").fit(Y + 1)


def test_what_cannot_be_kept_is_said_before_anything_is_done(tmp_path: Path):
    guide = DiffusionGuide(groups, checkpoint=tmp_path / "folder")
    assert guide._replica(3).options.checkpoint == tmp_path / "folder"
    assert Checkpoint(tmp_path / "folder", guide.plan).found(groups, Call((Y,), {})) is None
    with pytest.raises(TypeError, match="kwargs.how is a object"):
        Checkpoint(tmp_path / "folder", guide.plan).found(groups, Call((Y,), {"how": object()}))
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        Checkpoint(tmp_path / "file", guide.plan).found(groups, Call((Y,), {}))
    with pytest.raises(TypeError, match="checkpoint=True: write the path of a folder"):
        DiffusionGuide(groups, checkpoint=True)


def test_a_full_disk_costs_no_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write", full)
    monkeypatch.setattr(checkpoint.saving, "content_of", lambda *asked: ({}, {}))
    guide = DiffusionGuide(groups)
    with pytest.warns(UserWarning, match="was not written .*No space left on device.*: the fit goes on"):
        Checkpoint(tmp_path, guide.plan).keep(cast(Fitted, None), 1.0)
