import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from raytrain.folds.result import clear_checkpoint, load_checkpoint, save_checkpoint
from raytrain.storage.directory import Directory


@dataclass
class Counting:
    """A training whose whole state is how far it is."""

    epoch: int = 0
    step: int = 0

    def save(self, directory):
        Path(directory, "state.json").write_text(json.dumps([self.epoch, self.step]))
        Path(directory, "state.safetensors").write_bytes(b"weights")

    def load(self, directory):
        assert Path(directory, "state.safetensors").read_bytes() == b"weights"
        self.epoch, self.step = json.loads(Path(directory, "state.json").read_text())


@pytest.fixture(params=["local", "mock"])
def location(request, tmp_path):
    return str(tmp_path / "fold") if request.param == "local" else "mock://bucket/fold"


def test_a_fold_goes_on_from_its_newest_checkpoint(tmp_path):
    save_checkpoint(str(tmp_path), Counting(1, 0))
    save_checkpoint(str(tmp_path), Counting(1, 7))
    training = Counting()
    load_checkpoint(str(tmp_path), training)
    assert training == Counting(1, 7)


def test_without_a_checkpoint_a_fold_begins(location):
    training = Counting()
    load_checkpoint(location, training)
    assert training == Counting()


def test_only_the_newest_is_kept(tmp_path):
    for epoch in range(3):
        save_checkpoint(str(tmp_path), Counting(epoch))
    assert Directory(tmp_path / "checkpoint").names() == ["epoch-002-step-000000", "latest.json"]


def test_a_checkpoint_cut_off_in_writing_does_not_count(tmp_path, monkeypatch):
    save_checkpoint(str(tmp_path), Counting(1))
    write = Directory.write_bytes

    def cut_off(self, name, data):
        if name == "state.safetensors":
            raise OSError("the node is gone")
        write(self, name, data)

    with monkeypatch.context() as patched:
        patched.setattr(Directory, "write_bytes", cut_off)
        with pytest.raises(OSError, match="gone"):
            save_checkpoint(str(tmp_path), Counting(2))
    training = Counting()
    load_checkpoint(str(tmp_path), training)
    assert training == Counting(1)


def test_a_cleared_checkpoint_is_gone(tmp_path):
    save_checkpoint(str(tmp_path), Counting(1))
    clear_checkpoint(str(tmp_path))
    clear_checkpoint(str(tmp_path))
    assert not Directory(tmp_path).exists("checkpoint")
