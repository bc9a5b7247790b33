"""The page on adding a part: its files, saved where it says, are found and keep the contracts."""

import importlib
import re
import sys
from pathlib import Path

import pytest
import torch

from amortized.behaviours.base import Behaviour
from amortized.objectives import LogVariance, Objective
from amortized.processes import OrnsteinUhlenbeck
from amortized.processes.base import Process
from tests.baselines import known
from tests.contracts import test_baselines, test_behaviours, test_objectives, test_processes
from tests.contracts.discovery import concrete_classes
from tests.known import gaussian
from tests.training import test_loop

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text()
FILES = dict(re.findall(r"`((?:amortized|tests)/\S+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL))
"""Path to text, of every file that the page has in full."""
FAULT = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module", autouse=True)
def saved(tmp_path_factory):
    """The page's modules beside the package's own; in a tree that has them already, the tree's."""
    patch = pytest.MonkeyPatch()
    made = []
    for path, text in FILES.items():
        if path.startswith("tests/") or (ROOT / path).exists():
            continue
        folder = tmp_path_factory.mktemp("saved")
        (folder / Path(path).name).write_text(text)
        name = path.removesuffix(".py").replace("/", ".")
        package = importlib.import_module(name.rpartition(".")[0])
        patch.setattr(package, "__path__", [*package.__path__, str(folder)])
        made.append((package, name))
    yield
    patch.undo()
    for package, name in made:
        if name in sys.modules:
            del sys.modules[name]
            delattr(package, name.rpartition(".")[2])


def part(folder: str, name: str):
    """A class of the page, found by nothing but its place."""
    package = importlib.import_module(f"amortized.{folder}")
    contract = {"objectives": Objective, "processes": Process, "behaviours": Behaviour}[folder]
    (found,) = [member for member in concrete_classes(package, contract) if member.__name__ == name]
    return found


def test_the_page_has_a_short_file_for_every_part():
    assert [Path(path).parent.name for path in FILES] == [
        "objectives",
        "processes",
        "behaviours",
        "targets",
        "baselines",
        "objectives",
    ]
    assert all(len(text.splitlines()) < 80 for text in FILES.values())


def test_the_objective_keeps_the_contract(in_double_precision):
    objective_class = part("objectives", "Pairwise")
    for process_class in test_objectives.PROCESSES:
        test_objectives.test_at_the_solution_there_is_nothing_to_learn(objective_class, process_class, None)
        test_objectives.test_away_from_the_solution_there_is(objective_class, process_class, None)
        test_objectives.test_the_gradient_is_the_slope_of_the_loss(objective_class, process_class, None)
    test_objectives.test_paths_outside_the_support_do_not_poison_the_batch(objective_class)


def test_the_objective_trains():
    test_loop.trains(OrnsteinUhlenbeck(4), part("objectives", "Pairwise"), None, 100)


def test_the_page_s_own_test_passes():
    names: dict = {}
    exec(FILES["tests/objectives/test_pairwise.py"], names)
    names["test_a_large_delta_is_the_mean_square_of_all_differences"]()


def test_the_process_keeps_the_contract(in_double_precision):
    process_class = part("processes", "Cubic")
    for steps, scale in ((1, 1.0), (7, 2.5)):
        test_processes.test_zero_control_is_reversible(process_class, steps, scale, None)
        test_processes.test_the_reference_runs_from_the_prior_to_the_end(process_class, steps, scale, None)
    test_objectives.test_at_the_solution_there_is_nothing_to_learn(LogVariance, process_class, None)


def test_the_behaviour_keeps_the_contract():
    behaviour_class = part("behaviours", "Antithetic")
    for langevin in (False, True):
        test_behaviours.test_paths_are_whole(behaviour_class, OrnsteinUhlenbeck, langevin)
    test_behaviours.test_an_objective_can_take_them(behaviour_class, OrnsteinUhlenbeck)
    test_behaviours.test_a_replay_beside_it_remembers_the_fresh_ends_alone(behaviour_class)


def test_the_target_is_the_density_to_the_power_and_counts():
    tempered = importlib.import_module("amortized.targets.tempered").TemperedTarget
    raw, x = gaussian([0.5, -1.0], [[0.5, 0.2], [0.2, 1.0]]), torch.randn(5, 2, generator=torch.manual_seed(0))
    target = tempered(raw, 0.25)
    value, score = target.log_prob_and_score(x)
    expected, slope = raw.log_prob_and_score(x)
    torch.testing.assert_close((value, score), (0.25 * expected, 0.25 * slope))
    torch.testing.assert_close(target.log_prob(x), value)
    assert target.calls == 10 and list(target.constrain(x)) == list(raw.constrain(x))


def test_the_baseline_keeps_the_contract():
    module = importlib.import_module("amortized.baselines.importance")
    test_baselines.test_the_record_is_complete(module)
    test_baselines.test_a_model_is_taken_with_its_arguments(module)
    test_baselines.test_all_take_the_same_first_arguments_and_a_seed(module)
    assert abs(module.run(known.tilted_gaussian(), draws=20_000).log_evidence.value + 2.0) < 0.2


def test_the_fault_names_text_that_is_there_once():
    assert FAULT is not None
    [entry] = eval(f"[{FAULT[1]}]", {"mutant": lambda *parts: parts})
    _, file, old, new, test = entry
    assert FILES[f"amortized/{file}"].count(old) == 1 and old != new and f"tests/{test}" in FILES
