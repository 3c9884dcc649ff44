import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raytrain.ensemble.artifact import load_ensemble
from raytrain.ensemble.manifest import SCHEMA_VERSION
from raytrain.errors import ArtifactError, StorageError
from raytrain.storage.directory import Directory
from raytrain.storage.files import parquet_bytes, sha256

FILES = {
    "encoder/config.json": b"{}\n",
    "encoder/vocab.txt": "[PAD]\n天\n".encode(),
    "finetune/r0-fold-00.safetensors": b"weights of fold 0",
    "finetune/r0-fold-01.safetensors": b"weights of fold 1",
    "oof.parquet": b"oof",
}


@pytest.fixture
def artifact(tmp_path):
    """An artifact of two folds whose weights nobody loads."""
    directory = tmp_path / "运行" / "ensemble"
    for name, data in FILES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "labels": ["假", "真"],
        "config": {"name": "a", "data": {"text": "text"}, "encoder": {"maxlen": 128}},
        "encoder": {"kind": "bert", "config": "encoder/config.json", "vocab": "encoder/vocab.txt"},
        "architectures": {
            "finetune": {
                "model": {"train_encoder": True, "embedding": [2, 1], "num_classes": 2, "dropout": 0.1},
                "folds": [
                    {"file": f"finetune/r0-fold-0{i}.safetensors", "fold": i, "repeat": 0} for i in range(2)
                ],
            }
        },
        "files": [{"name": name, "bytes": len(data), "sha256": sha256(data)} for name, data in FILES.items()],
    }
    (directory / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False), encoding="utf-8")
    return directory


def change_manifest(directory, change):
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    change(manifest)
    path.write_text(json.dumps(manifest), encoding="utf-8")


def problems_of(directory):
    with pytest.raises(ArtifactError) as caught:
        load_ensemble(str(directory))
    assert caught.value.exit_code == 2
    return caught.value.problems


def test_whole_artifact_loads(artifact):
    ensemble = load_ensemble(str(artifact))
    assert ensemble.labels == ["假", "真"]
    assert ensemble.read("oof.parquet") == b"oof"
    assert ensemble.read_text("encoder/vocab.txt") == "[PAD]\n天\n"


def test_artifact_may_be_copied_away_on_its_own(artifact, tmp_path):
    shutil.copytree(artifact, tmp_path / "elsewhere")
    shutil.rmtree(artifact)
    assert load_ensemble(str(tmp_path / "elsewhere")).labels == ["假", "真"]


def test_other_files_beside_the_named_ones_do_not_matter(artifact):
    (artifact / "README.md").write_text("notes")
    load_ensemble(str(artifact))


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_no_manifest(tmp_path, make):
    make(tmp_path / "empty")
    with pytest.raises(ArtifactError, match=r"empty: no ensemble here.*manifest\.json"):
        load_ensemble(str(tmp_path / "empty"))


def test_run_directory_is_told_from_its_ensemble(artifact):
    with pytest.raises(ArtifactError, match="give its folder ensemble/"):
        load_ensemble(str(artifact.parent))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"null",
        b"{}",
        b"\xff",
        b"[" * 200_000,
    ],
)
def test_damaged_manifest(artifact, text):
    (artifact / "manifest.json").write_bytes(text)
    with pytest.raises(ArtifactError, match=r"manifest\.json is damaged"):
        load_ensemble(str(artifact))


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, "1", None])
def test_other_schema_version(artifact, version):
    change_manifest(artifact, lambda manifest: manifest.update(schema_version=version))
    with pytest.raises(ArtifactError, match=r"manifest\.json: schema version .*upgrade raytrain"):
        load_ensemble(str(artifact))


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(artifact, name):
    (artifact / name).unlink()
    assert problems_of(artifact) == [f"{name}: missing"]


@pytest.mark.parametrize("name", FILES)
def test_changed_byte_is_seen(artifact, name):
    data = bytearray(FILES[name])
    data[-1] ^= 1
    (artifact / name).write_bytes(data)
    (problem,) = problems_of(artifact)
    assert problem.startswith(f"{name}: its content has changed")


@pytest.mark.parametrize("change", [lambda data: data + b"\0", lambda data: data[:-1], lambda data: b""])
def test_wrong_size_is_told(artifact, change):
    name = "finetune/r0-fold-01.safetensors"
    (artifact / name).write_bytes(change(FILES[name]))
    (problem,) = problems_of(artifact)
    assert problem.startswith(f"{name}: expected {len(FILES[name])} bytes, found {len(change(FILES[name]))}")


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/passwd", "..", "..\\x", "encoder/../oof.parquet"]
)
def test_name_outside_the_directory_is_not_read(artifact, name):
    data = b"secret"
    (artifact.parent / "x").write_bytes(data)
    entry = {"name": name, "bytes": len(data), "sha256": sha256(data)}
    change_manifest(artifact, lambda manifest: manifest["files"].append(entry))
    (problem,) = problems_of(artifact)
    assert problem.endswith(f"{name!r} is not a name inside the ensemble")


def test_directory_in_the_place_of_a_file(artifact):
    (artifact / "oof.parquet").unlink()
    (artifact / "oof.parquet").mkdir()
    assert problems_of(artifact) == ["oof.parquet: missing"]


def test_a_storage_that_goes_away_is_not_damage(artifact, monkeypatch):
    read_bytes = Directory.read_bytes

    def refuse(self, name):
        if name != "manifest.json":
            raise StorageError("the storage is away")
        return read_bytes(self, name)

    monkeypatch.setattr(Directory, "read_bytes", refuse)
    with pytest.raises(StorageError, match="away"):
        load_ensemble(str(artifact))


def test_all_damage_is_told_at_once(artifact):
    (artifact / "oof.parquet").unlink()
    (artifact / "encoder/vocab.txt").write_bytes(b"")
    text = "\n".join(problems_of(artifact))
    for part in ("oof.parquet", "encoder/vocab.txt"):
        assert part in text


def test_fold_whose_file_is_not_vouched_for(artifact):
    def swap(manifest):
        manifest["architectures"]["finetune"]["folds"][0]["file"] = "finetune/other.safetensors"

    (artifact / "finetune/other.safetensors").write_bytes(b"not vouched for")
    change_manifest(artifact, swap)
    assert "finetune/other.safetensors" in problems_of(artifact)[0]


def test_file_that_is_not_listed_is_not_read(artifact):
    ensemble = load_ensemble(str(artifact))
    with pytest.raises(ArtifactError, match="not among"):
        ensemble.read("../../secret")


def test_parquet_bytes_read_back():
    table = pa.table({"id": ["甲", "乙"], "proba_真": [0.25, 0.75]})
    assert pq.read_table(pa.BufferReader(parquet_bytes(table))).equals(table)


def test_a_file_that_changes_once_the_artifact_is_open_is_not_read(artifact):
    """Of a large ensemble folds are read while it predicts, and beside it a run may be made anew."""
    ensemble, name = load_ensemble(str(artifact)), "finetune/r0-fold-01.safetensors"
    assert ensemble.read(name) == FILES[name]
    (artifact / name).write_bytes(FILES[name][::-1])
    with pytest.raises(ArtifactError, match="has changed since it was opened"):
        ensemble.read(name)
