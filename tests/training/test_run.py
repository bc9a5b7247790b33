"""A stage of training goes on from its file as if nothing had happened, and a file of another run is refused."""

from pathlib import Path

import pytest
import torch
from torch import nn

from amortized.parallel.ranks import RankLost, Ranks
from amortized.storage.file import UnreadableFile
from amortized.training import run as module
from amortized.training.callbacks import Convergence, History
from amortized.training.evaluation import Evaluation
from amortized.training.loop import Schedule, optimise
from amortized.training.run import Run, StageState


class LostAfterEight(Ranks):
    """One process, to which the ninth reduction fails as it does when another process is killed."""

    calls = 0

    def average_gradients(self, parameters):
        type(self).calls += 1
        if self.calls == 9:
            raise RankLost("lost")


def judged(step) -> Evaluation:
    """The overlap rises and falls again, so that the best weights are not the last."""
    return Evaluation(0.0, 0.0, 0.0, 0.0, 1 - abs(step.number - 6) / 20)


def trained(run: Run, ranks: Ranks = Ranks()) -> tuple[dict, list[float], list]:  # noqa: B008
    torch.manual_seed(0)
    parts = nn.ModuleDict({"policy": nn.Linear(3, 1)})
    history, convergence = History(), Convergence(judged, every=3, enough=2.0, patience=9)
    saved = StageState(run, "stage", {"history": history, "convergence": convergence})
    x = torch.randn(20, 4, 3)
    schedule = Schedule(20, callbacks=[history, convergence], ranks=ranks, saved=saved)
    optimise(parts, lambda step: parts["policy"](x[step]).square().sum(), schedule)
    convergence.restore(parts)
    return parts.state_dict(), history.losses, convergence.evaluations


def test_a_stage_goes_on_as_if_nothing_had_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "EVERY", 0.0)
    path = tmp_path / "run"
    with pytest.raises(RankLost):
        trained(Run(path=path), LostAfterEight())
    assert StageState(Run(path=path), "stage", {}).step == 8
    weights, losses, evaluations = trained(Run(path=path))
    theirs, their_losses, their_evaluations = trained(Run())
    assert evaluations == their_evaluations and len(evaluations) == 7
    assert losses == their_losses and len(losses) == 20
    assert all(torch.equal(weights[name], theirs[name]) for name in weights)
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


def test_what_was_kept_stays_what_it_was(tmp_path: Path):
    run, weights = Run(path=tmp_path / "run"), torch.ones(2)
    run.keep("a", lambda: {"weights": weights})
    weights.zero_()
    run.keep("b", lambda: 3)
    found = Run(path=tmp_path / "run")
    assert torch.equal(found.get("a")["weights"], torch.ones(2)) and found.get("b") == 3
    assert found.writings == 2 and found.get("c") is None


def test_only_the_first_process_writes(tmp_path: Path):
    Run(Ranks(1, 1), tmp_path / "run").keep("a", lambda: 1)
    Run().keep("a", lambda: 1)
    assert not list(tmp_path.iterdir())


def test_files_of_other_runs_are_refused(tmp_path: Path):
    path = tmp_path / "run"
    Run(path=path, fingerprint="one").keep("a", lambda: 1)
    with pytest.raises(ValueError, match="another model, data, seed"):
        Run(path=path, fingerprint="two")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UnreadableFile, match="cut"):
        Run(path=path, fingerprint="one")
