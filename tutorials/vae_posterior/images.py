"""The images: scikit-learn's 8 x 8 digits, or MNIST from its IDX files; black and white, rows of 0 and 1."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

MAGIC = 0x00000803  # IDX: unsigned bytes, three dimensions
LARGEST = 1_000_000_000  # bytes of pixels that we are willing to unpack
NAMES = ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte")


@dataclass(frozen=True)
class Images:
    """``grey: (images, side²)`` in [0, 1]; ``train``: the same in black and white; ``held_out``: others.

    ``latents``: how many numbers describe an image.
    """

    name: str
    side: int
    latents: int
    grey: Tensor
    train: Tensor
    held_out: Tensor


def load(folder: Path | None, seed: int = 0) -> Images:
    """MNIST from the IDX files in ``folder``, or the digits of scikit-learn if it is ``None``.

    Grey becomes black or white at random: a pixel is 1 with probability equal to its intensity, under a fixed seed.
    The images are then draws that a Bernoulli decoder can explain, and ``log p(x)`` is a proper log probability.
    """
    name, latents, intensities, held_out = _digits() if folder is None else _mnist(Path(folder))
    generator = torch.Generator().manual_seed(seed)
    grey = torch.from_numpy(intensities).float()[torch.randperm(len(intensities), generator=generator)]
    pixels = torch.bernoulli(grey, generator=generator)
    side = round(pixels.shape[1] ** 0.5)
    return Images(name, side, latents, grey[:-held_out], pixels[:-held_out], pixels[-held_out:])


def _digits() -> tuple[str, int, np.ndarray, int]:
    from sklearn.datasets import load_digits

    return "digits", 8, load_digits(return_X_y=True)[0] / 16.0, 297


def _mnist(folder: Path) -> tuple[str, int, np.ndarray, int]:
    """Both files one after the other, or the one that is there; the 1,000 images are held out."""
    if not folder.is_dir():
        raise FileNotFoundError(f"--data {folder}: no such folder; name the one that holds {NAMES[0]} or {NAMES[1]}")
    found = [folder / (name + end) for name in NAMES for end in ("", ".gz") if (folder / (name + end)).is_file()]
    if not found:
        raise FileNotFoundError(f"--data {folder}: it holds none of {', '.join(NAMES)} (or the same with .gz)")
    return "mnist", 20, np.concatenate([read_idx_images(file) for file in found]) / 255.0, 1_000


def read_idx_images(path: Path) -> np.ndarray:
    """The pixels of an IDX file, gzipped or not: ``(images, rows * columns)`` of unsigned bytes.

    Only plain numbers are read, and nothing in the file is executed. ``ValueError`` if the file is of another kind or
    is cut short.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            header = file.read(16)
            if len(header) < 16:
                raise ValueError(f"{path}: {len(header)} bytes, shorter than the header of an IDX file (16 bytes)")
            magic, images, rows, columns = (int(number) for number in np.frombuffer(header, ">u4"))
            if magic != MAGIC:
                raise ValueError(f"{path}: magic number 0x{magic:08x}; IDX images start with 0x{MAGIC:08x}")
            size = images * rows * columns
            if not 0 < size <= LARGEST:
                raise ValueError(f"{path}: {images} images of {rows} x {columns}; at most {LARGEST} pixels are read")
            pixels = np.frombuffer(file.read(size + 1), np.uint8)
    except (gzip.BadGzipFile, EOFError) as error:
        raise ValueError(f"{path}: not a whole gzip file ({error}); download it again") from error
    if len(pixels) != size:
        more = "more" if len(pixels) > size else f"only {len(pixels)}"
        raise ValueError(f"{path}: its header says {size} pixels, it holds {more}; download it again")
    return pixels.reshape(images, rows * columns)
