"""A training run on several processes: what they share, and the file from which it goes on."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from amortized.parallel.ranks import Ranks
from amortized.storage.file import UnreadableFile, read, write
from amortized.storage.tree import packed, unpacked

EVERY = 5.0
"""Seconds between two writings. One takes 13 ms of processor with 140,000 weights, a part in 400."""


class Watched(Protocol):
    """A part of a stage that can be saved, as modules and optimisers of torch can."""

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Any, /) -> Any: ...


class Run:
    """The processes of a training run, and what it has reached, by name, in one file. Rank 0 alone writes the file.

    Args:
        ranks: the processes.
        path: the file; what it holds already is gone on from. None: nothing is saved.
        fingerprint: of everything that must be as it was: model, data, coordinates, seed.

    Raises:
        UnreadableFile: the file is cut, changed, or not there for this process.
        ValueError: the file is of a run with another fingerprint.
    """

    def __init__(self, ranks: Ranks = Ranks(), path: Path | None = None, fingerprint: str = ""):  # noqa: B008
        self.ranks, self.path, self.fingerprint = ranks, path, fingerprint
        self.reached: dict[str, Any] = {}
        self.writings = 0
        self._written = time.perf_counter()
        if path is None or not ranks.same(path.exists()):
            return
        try:
            tensors, words = read(path)
        except UnreadableFile as error:
            text = f"{path} is cut, changed, or not on this machine: delete it, and the run starts anew"
            raise UnreadableFile(text) from error
        if words.get("fingerprint") != fingerprint:
            raise ValueError(
                f"{path} is of a run with another model, data, seed or coordinates: give it the same ones and as much "
                "time as before, or delete the file"
            )
        self.reached, self.writings = unpacked(words["reached"], tensors), int(words["writings"])
        ranks.check_same(f"{self.writings}", f"another file {path} than process 0: give all the same folder")

    def get(self, name: str) -> Any:
        """What was reached under a name; None if nothing was."""
        return self.reached.get(name)

    def keep(self, name: str, value: Callable[[], Any]) -> None:
        """Save ``value()``: numbers, text, tensors, lists, and dicts of them."""
        if self.path is not None and self.ranks.rank == 0:
            self.reached[name] = copy.deepcopy(value())  # training goes on with these very tensors
            self.writings += 1
            tensors: dict = {}
            words = packed(self.reached, "reached", tensors)
            write(self.path, tensors, {"fingerprint": self.fingerprint, "writings": self.writings, "reached": words})
            self._written = time.perf_counter()

    def keep_now_and_then(self, name: str, value: Callable[[], Any]) -> None:
        """``keep``, if the last writing was 5 s ago or more."""
        if time.perf_counter() - self._written >= EVERY:
            self.keep(name, value)


class StageState:
    """The state of one stage of training, under its title.

    Args:
        run: that the stage is part of.
        title: of the stage.
        watched: callbacks whose state is saved too, by name.
    """

    def __init__(self, run: Run, title: str, watched: Mapping[str, Watched]):
        self.run, self.title, self.watched = run, title, watched

    @property
    def step(self) -> int:
        """The step that was reached; 0 if none."""
        return int((self.run.get(self.title) or {}).get("step", 0))

    @property
    def planned(self) -> int:
        """Steps that were planned; 0 if nothing was."""
        return int((self.run.get(self.title) or {}).get("planned", 0))

    @property
    def is_over(self) -> bool:
        """Whether the stage had ended."""
        return bool((self.run.get(self.title) or {}).get("over", False))

    def restore(self, **parts: Watched) -> None:
        """Load what was saved into the watched callbacks, and into ``parts`` of these names."""
        found = self.run.get(self.title)
        for name, part in {**self.watched, **parts}.items():
            part.load_state_dict(found[name])

    def save(self, step: int, planned: int, over: bool = False, **parts: Watched) -> None:
        """Save the stage now and then, and where it is over at once."""

        def value() -> dict[str, Any]:
            states = {name: part.state_dict() for name, part in {**self.watched, **parts}.items()}
            return {"step": step, "planned": planned, "over": over, **states}

        (self.run.keep if over else self.run.keep_now_and_then)(self.title, value)
