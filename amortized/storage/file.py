"""One file of tensors and JSON, which appears whole or not at all, and whose reading executes nothing.

The format is safetensors. The words are JSON in its metadata, beside a digest of words and tensors.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from amortized._types import Tensor

try:
    import fcntl
except ImportError:  # Windows, where unfinished files stay
    fcntl = None

MOST_WORDS = 4_000_000
"""Bytes of a header, tensor names included: a guide's takes some ten thousand. A longer one is refused unread."""
WORDS, STRIDES, DIGEST = "amortized", "strides", "sha256"
"""Keys of the metadata."""
MOST_GAPS = 4
"""Times its numbers, the room that a tensor may take for the sake of its strides."""


class UnreadableFile(ValueError):
    """A file that is not what ``write`` wrote; the message says what was found and what to do."""


def write(path: str | Path, tensors: Mapping[str, Tensor], words: Mapping[str, Any]) -> Path:
    """Write tensors and JSON as one file, which replaces an older one in a single step.

    A temporary file in the same folder is written, synced and renamed. After an error or a kill ``path`` is as before.
    What earlier kills have left of it is removed. Tensors come back in the order in memory that they have: sums are
    rounded by it.

    Args:
        path: The file; its folder must be there.
        tensors: By name, of any shape and dtype.
        words: What ``json`` can write; infinities and NaN too.

    Returns:
        The path.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = write(Path(folder) / "numbers", {"x": torch.ones(2)}, {"kind": "ones"})
    ...     read(file)
    ({'x': tensor([1., 1.])}, {'kind': 'ones'})
    """
    path = Path(path)
    # clones: safetensors refuses tensors that share memory
    own = {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
    unusual = {name: value.stride() for name, value in tensors.items() if not value.is_contiguous()}
    text, strides = json.dumps(words), json.dumps(unusual)
    content = save(own, {WORDS: text, STRIDES: strides, DIGEST: digest(own, text + strides)})
    length = int.from_bytes(content[:8], "little")
    if length > MOST_WORDS:
        raise ValueError(f"{length:,} bytes of words and names for {path}: at most {MOST_WORDS:,} can be read back")
    prefix = f".{path.name}.unfinished-"
    _remove_left(path.parent, prefix)
    handle, temporary = _begun(path.parent, prefix)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return path


def read(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the words that ``write`` wrote.

    Raises:
        UnreadableFile: No file, another kind of file, or one that is cut or changed.
    """
    path = Path(path)
    _check_header(path)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            # clones: the file's pages are not aligned as torch's own memory, by which sums are rounded
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
    except (SafetensorError, OSError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableFile(f"{path} is cut or no safetensors file ({error}): write guide.save(path) again") from error
    if not {WORDS, STRIDES, DIGEST} <= metadata.keys():
        raise UnreadableFile(f"{path} holds tensors, but amortized did not write it: give a file of guide.save(path)")
    if digest(tensors, metadata[WORDS] + metadata[STRIDES]) != metadata[DIGEST]:
        raise UnreadableFile(f"{path} has changed since it was written: copy it again, or write guide.save(path) again")
    try:
        words, strides = (json.loads(metadata[key]) for key in (WORDS, STRIDES))
        tensors.update({name: _strided(tensors[name], steps) for name, steps in strides.items()})
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError, RuntimeError) as error:
        raise UnreadableFile(f"{path} has words that are no JSON ({error}): write guide.save(path) again") from error
    if not isinstance(words, dict):
        raise UnreadableFile(f"{path} has a {type(words).__name__} for its words: write guide.save(path) again")
    return tensors, words


def digest(tensors: Mapping[str, Tensor], text: str) -> str:
    """SHA-256 of the words, and of the name, dtype, shape and bytes of every tensor. It finds damage, not malice."""
    found = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        found.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _strided(value: Tensor, strides: list[int]) -> Tensor:
    """The numbers in the order in memory that they had, unless that takes much more room."""
    room = sum(step * (size - 1) for step, size in zip(strides, value.shape, strict=True))
    if not all(step > 0 for step in strides) or room > MOST_GAPS * value.numel():
        return value
    return torch.empty_strided(value.shape, strides, dtype=value.dtype).copy_(value)


def _check_header(path: Path) -> None:
    """Raises ``UnreadableFile`` unless a regular file begins with the length of a header that it can hold."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there" if not path.exists() else "is no regular file"
        raise UnreadableFile(f"{path} {what}: give the path of a file that guide.save(path) wrote")
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(9)
    length = int.from_bytes(start[:8], "little")
    if len(start) < 9 or start[8:] != b"{" or length > min(MOST_WORDS, size - 8):
        raise UnreadableFile(
            f"{path} is cut or no safetensors file ({size:,} bytes that begin with {start[:8]!r}): give a file that "
            "guide.save(path) wrote"
        )


def _begun(folder: Path, prefix: str) -> tuple[int, str]:
    """A new file, open and locked until it is closed or its process ends, and its path."""
    while True:
        handle, name = tempfile.mkstemp(prefix=prefix, dir=folder)
        if (
            not _locks(handle, wait=True) or os.fstat(handle).st_nlink
        ):  # else another writer took it for one left behind
            return handle, name
        os.close(handle)


def _remove_left(folder: Path, prefix: str) -> None:
    """Removes unfinished files that nobody is writing."""
    for left in [file for file in folder.iterdir() if file.name.startswith(prefix)]:
        with suppress(OSError):  # another writer finished or removed it, or it is another user's
            handle = os.open(left, os.O_RDWR)
            try:
                if _locks(handle):
                    left.unlink()
            finally:
                os.close(handle)


def _locks(handle: int, wait: bool = False) -> bool:
    """Whether the file is now locked by this process; False where another has it, and where nothing can be locked."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    """Makes the rename outlast a power cut, where a folder can be opened: not on Windows."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
