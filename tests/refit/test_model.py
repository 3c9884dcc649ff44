import json

import pytest

from raytrain.errors import ArtifactError
from raytrain.refit import model
from raytrain.refit.model import read_model
from raytrain.storage.directory import Directory


@pytest.fixture
def artifact(tmp_path, monkeypatch):
    """A place whose files are all sound; returns what writes its manifest."""
    monkeypatch.setattr(model, "load_ensemble", lambda location: None)

    def write(**manifest):
        (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        return Directory(str(tmp_path))

    return write


def test_what_was_made_before_tells_of_itself(artifact):
    place = artifact(metrics={"task": "tag", "rows": 3})
    found = read_model(place)
    assert (found.artifact, found.task, found.metrics["rows"]) == (str(place), "tag", 3)


@pytest.mark.parametrize("manifest", [{}, {"metrics": None}, {"metrics": {"rows": 3}}])
def test_an_artifact_that_tells_nothing_is_damaged(artifact, manifest):
    with pytest.raises(ArtifactError, match="expected `metrics`"):
        read_model(artifact(**manifest))


def test_a_changed_artifact_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="no ensemble here"):
        read_model(Directory(str(tmp_path)))
