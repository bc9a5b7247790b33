"""A file comes back as written, to the last bit; a hostile or damaged one is refused at once, and nothing runs."""

import fcntl
import json
import math
import os
import pickle
import resource
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from amortized.storage.file import DIGEST, MOST_WORDS, STRIDES, WORDS, UnreadableFile, digest, read, write

ROOT = str(Path(__file__).parents[2])
TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2]), "c": torch.tensor(math.pi).double()}


class Bomb:
    """A pickle that leaves a file behind if anybody loads it."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return (open, (str(self.trace), "w"))


def signed(text: str, tensors: dict = TENSORS, strides: str = "{}", **changed: str) -> bytes:
    return save(tensors, {WORDS: text, STRIDES: strides, DIGEST: digest(tensors, text + strides), **changed})


def headed(header: bytes, body: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + body


def entry(dtype: str = "F32", shape: object = (2,), offsets: object = (0, 8)) -> bytes:
    return json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}).encode()


GOOD = signed('{"kind": "x"}')
LENGTH = int.from_bytes(GOOD[:8], "little")
HOSTILE = {
    "empty": b"",
    "seven bytes": GOOD[:7],
    "length alone": GOOD[:8],
    "half a header": GOOD[: LENGTH // 2],
    "no tensors": GOOD[: 8 + LENGTH],
    "one byte short": GOOD[:-1],
    "one byte long": GOOD + b"x",
    "a header of 2^64 - 1": struct.pack("<Q", 2**64 - 1) + b"{",
    "a header of 80 GB": struct.pack("<Q", 80 * 10**9) + b"{}" * 100,
    "a long header": headed(b"{" + b" " * MOST_WORDS + b"}"),
    "header is a list": headed(b"[]"),
    "header is no JSON": headed(b"{nothing}"),
    "header is no UTF-8": headed(b'{"\xff\xfe": 1}'),
    "unknown dtype": headed(entry("OBJECT"), bytes(8)),
    "dtype too wide": headed(entry("F64"), bytes(8)),
    "shape too large": headed(entry(shape=[2**40, 2**40]), bytes(8)),
    "negative shape": headed(entry(shape=[-2]), bytes(8)),
    "offsets beyond the file": headed(entry(offsets=[0, 2**40]), bytes(8)),
    "offsets backwards": headed(entry(offsets=[8, 0]), bytes(8)),
    "shape of words": headed(entry(shape=["__import__('os')"]), bytes(8)),
    "deep header": headed(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "tensors alone": save(TENSORS),
    "no digest": save(TENSORS, {WORDS: "{}"}),
    "wrong digest": signed("{}", **{DIGEST: "0" * 64}),
    "changed words": GOOD.replace(b"kind", b"mind"),
    "flipped bit": GOOD[:-1] + bytes([GOOD[-1] ^ 1]),
    "swapped tensors": save(
        {**TENSORS, "a": TENSORS["b"], "b": TENSORS["a"]},
        {WORDS: "{}", STRIDES: "{}", DIGEST: digest(TENSORS, "{}{}")},
    ),
    "deep words": signed("[" * 100_000 + "]" * 100_000),
    "a number of a million digits": signed('{"n": ' + "9" * 1_000_000 + "}"),
    "strides of nothing": signed("{}", strides='{"z": [1]}'),
    "strides of text": signed("{}", strides='{"a": ["1", "2"]}'),
    "too few strides": signed("{}", strides='{"a": [1]}'),
    "strides are a list": signed("{}", strides="[1]"),
    "words are a list": signed("[1, 2]"),
    "words are no JSON": signed("__import__('os').system('true')"),
    "text": b"hello, I am a guide" * 10,
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_at_once_and_in_little_memory(content: bytes, tmp_path: Path):
    file = tmp_path / "guide.safetensors"
    file.write_bytes(content)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with pytest.raises(UnreadableFile, match="guide.safetensors") as refusal:
        read(file)
    assert time.perf_counter() - began < 1.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB
    assert len(str(refusal.value)) < 600


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_is_not_loaded(protocol: int, tmp_path: Path):
    file, trace = tmp_path / "guide.safetensors", tmp_path / "trace"
    file.write_bytes(pickle.dumps(Bomb(trace), protocol=protocol))
    with pytest.raises(UnreadableFile, match="no safetensors"):
        read(file)
    assert not trace.exists()


def test_neither_is_a_file_of_torch_save_nor_a_zip(tmp_path: Path):
    trace = tmp_path / "trace"
    torch.save({"a": Bomb(trace)}, tmp_path / "torch")
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("../../outside", "x")
    for name in ("torch", "zip"):
        with pytest.raises(UnreadableFile, match="no safetensors"):
            read(tmp_path / name)
    assert not trace.exists() and not (tmp_path.parent.parent / "outside").exists()


def test_neither_is_what_is_no_file(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for name, what in (("", "is a folder"), ("nothing", "is not there"), ("pipe", "is no regular file")):
        with pytest.raises(UnreadableFile, match=what):
            read(tmp_path / name)


def test_everything_comes_back_to_the_last_bit(tmp_path: Path):
    shared = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    tensors = {**TENSORS, "view": shared.T, "same": shared, "none": torch.zeros(0, 3), "nan": torch.tensor([math.nan])}
    words = {"text": "ζ", "numbers": [1, 0.1, -math.inf], "nothing": None}
    found, said = read(write(tmp_path / "file", tensors, words))
    assert said == words and found.keys() == tensors.keys()
    for name, value in tensors.items():
        assert found[name].dtype == value.dtype and torch.equal(found[name].nan_to_num(7), value.nan_to_num(7))


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "file", TENSORS, {"which": "old"})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "file", TENSORS, {"which": "new"})
    assert read(tmp_path / "file")[1] == {"which": "old"}
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_words_that_could_not_be_read_back_are_not_written(tmp_path: Path):
    with pytest.raises(ValueError, match="at most"):
        write(tmp_path / "file", {}, {"text": "x" * MOST_WORDS})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "x", [torch.arange(6.0).reshape(2, 3).mT, torch.arange(20.0).reshape(2, 10)[:, 2:], torch.ones(1).expand(4, 3)]
)
def test_the_order_in_memory_comes_back_too(x, tmp_path: Path):
    again = read(write(tmp_path / "x", {"x": x}, {}))[0]["x"]
    assert torch.equal(again, x)
    assert again.stride() == x.stride() or 0 in x.stride()


KILLED = """
import os, sys, torch
from amortized.storage import file
file.os.replace = lambda *paths: os.kill(os.getpid(), 9)
file.write(sys.argv[1], {"x": torch.ones(1)}, {})
"""


@pytest.mark.slow
def test_a_kill_leaves_one_file_that_the_next_write_removes(tmp_path: Path):
    path = tmp_path / "numbers"
    subprocess.run([sys.executable, "-c", KILLED, str(path)], env={**os.environ, "PYTHONPATH": ROOT})
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".numbers.unfinished-")
    write(path, TENSORS, {})
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_left_behind_is_removed_but_not_what_another_writes(tmp_path: Path):
    path, left, other = (tmp_path / name for name in ("numbers", ".numbers.unfinished-a", ".numbers.unfinished-b"))
    left.write_bytes(b"half")
    with other.open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        write(path, TENSORS, {})
        assert sorted(tmp_path.iterdir()) == [other, path]
    write(path, TENSORS, {})
    assert list(tmp_path.iterdir()) == [path]
