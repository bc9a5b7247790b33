"""The VAE tutorial: its parts against closed forms and bad files, and the whole script once, quickly."""

import gzip
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

FOLDER = Path(__file__).parents[2] / "tutorials" / "vae_posterior"
sys.path.insert(0, str(FOLDER))
import bounds  # noqa: E402  # pyright: ignore[reportMissingImports]
import images  # noqa: E402  # pyright: ignore[reportMissingImports]
import truth  # noqa: E402  # pyright: ignore[reportMissingImports]
import vae  # noqa: E402  # pyright: ignore[reportMissingImports]

PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8)
IDX = struct.pack(">IIII", images.MAGIC, 2, 3, 3) + PIXELS.tobytes()


@pytest.mark.parametrize("end, packed", [("", IDX), (".gz", gzip.compress(IDX, mtime=0))])
def test_idx_files_are_read(tmp_path, end, packed):
    path = tmp_path / ("t10k-images-idx3-ubyte" + end)
    path.write_bytes(packed)
    assert images.read_idx_images(path).tolist() == PIXELS.reshape(2, 9).tolist()


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a", IDX[:10], "shorter than the header"),
        ("a", b"\x80\x04" + IDX, "magic number 0x80040000"),
        ("a", IDX[:-1], "only 17"),
        ("a", IDX + b"0", "it holds more"),
        ("a", struct.pack(">IIII", images.MAGIC, 2**31, 2**15, 2**15), "at most"),
        ("a.gz", gzip.compress(IDX, mtime=0)[:-12], "not a whole gzip file"),
        ("a.gz", IDX, "not a whole gzip file"),
    ],
)
def test_bad_idx_files_are_told_apart(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        images.read_idx_images(tmp_path / name)


def test_a_folder_without_images_says_which_files_it_wants(tmp_path):
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte"):
        images.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        images.load(tmp_path / "missing")


def test_digits_are_black_and_white_and_the_same_each_time():
    first, again = images.load(None), images.load(None)
    assert torch.equal(first.train, again.train)
    assert first.train.shape == (1500, 64) and first.held_out.shape == (297, 64)
    assert set(first.train.unique().tolist()) == {0.0, 1.0}


def test_networks_survive_a_file(tmp_path):
    digits = images.load(None)
    decoder, encoder = vae.train(digits, epochs=1)
    vae.save(decoder, encoder, tmp_path / "vae.safetensors")
    again, _ = vae.read(digits, tmp_path / "vae.safetensors")
    z = torch.randn(3, digits.latents)
    assert torch.equal(decoder(z), again(z))


class Linear(torch.nn.Module):
    """One latent, whose sign alone says whether the only pixel is black: log p(x) = log 1/2 by symmetry."""

    latents = 1

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return 4.0 * z


def test_annealed_chains_find_a_known_evidence():
    """4,000 chains: the standard error of log p(x) is about .005; four of them are allowed, and likewise backwards."""
    generator = torch.Generator().manual_seed(0)
    black = torch.ones(1, 1)
    target = truth.Posterior(Linear(), black, torch.zeros(1, 1), torch.ones(1, 1))
    schedule = truth.tuned_schedule(target, 30, 3, generator)
    log_weights, z = truth.forward(target, schedule, 4_000, generator)
    found, error = bounds.evidence(log_weights.mT)
    assert float(error) < 0.02 and abs(float(found) - np.log(0.5)) < 4 * float(error)
    assert z.shape == (1, 4_000, 1)
    exact = torch.randn(4_000, 1, generator=generator)
    exact = exact[torch.rand(4_000, 1, generator=generator) < (4.0 * exact).sigmoid()][:500, None]
    many = truth.Posterior(Linear(), black.expand(500, 1), torch.zeros(500, 1), torch.ones(500, 1))
    above = truth.backward(many, schedule, exact, 1, generator)
    found, error = bounds.evidence(-above)
    assert abs(float(found) + np.log(0.5)) < 4 * float(error)


def test_bounds_rise_towards_the_evidence():
    """log w ~ N(-s²/2, s²) has evidence 0 and ELBO -s²/2; 40,000 draws leave an error of .005 at s = 1."""
    log_weights = torch.randn(40_000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.5
    elbo, iwae = float(bounds.elbo(log_weights)), float(bounds.importance_weighted(log_weights, 100))
    assert abs(elbo + 0.5) < 0.02 and -0.02 < iwae < 0.01
    assert abs(float(bounds.evidence(log_weights)[0])) < 0.03


@pytest.mark.slow
def test_the_script_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, str(FOLDER / "main.py"), "--quick", "--out", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads((tmp_path / "digits.json").read_text())
    truth_of_images = results["truth"]["log_evidence"]
    assert results["methods"]
    for found in results["methods"].values():
        assert found["elbo"] <= found["iwae_100"] + 0.1 and found["iwae_100"] < truth_of_images + 1.0
    assert list(tmp_path.glob("vae_*.png"))
