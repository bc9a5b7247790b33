"""The group that torchrun's variables describe, and the checkpoint that lives as long as it."""

from pathlib import Path

import pytest

from amortized.parallel.group import current, own_device, started, together
from amortized.parallel.ranks import RankLost, Ranks


def test_one_process_needs_no_group(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    with together() as group:
        assert group.ranks == Ranks() and current() is group
    assert own_device("cuda") == "cuda" and started() == 1


def test_missing_variables_are_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_PORT", raising=False)
    with pytest.raises(ValueError, match=r"WORLD_SIZE=2 without .*MASTER_PORT: start with torchrun"), together():
        pass


def test_every_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert own_device("cuda") == "cuda:1" and own_device("cpu") == "cpu" and own_device("cuda:0") == "cuda:0"


def test_the_checkpoint_outlives_a_lost_process_and_no_finished_run(tmp_path: Path):
    file = tmp_path / "run"
    file.touch()
    with pytest.raises(RankLost, match="it goes on from .*run, on any number"), together(file):
        raise RankLost("lost")
    assert file.exists()
    with together(file):
        pass
    assert not file.exists()
