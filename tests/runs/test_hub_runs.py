"""A whole run whose encoder comes from a hub."""

import json

import pytest
from hub_server import COMMIT, serve_hub
from tiny_run import read_oof, silent_console, tiny_config

from raytrain.crossval.driver import train_run
from raytrain.pretrained.zoo import MINI

pytestmark = pytest.mark.slow


def test_folds_train_on_an_encoder_of_the_hub(here, tmp_path, monkeypatch):
    monkeypatch.setenv("RAYTRAIN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    files = {path.name: path.read_bytes() for path in MINI.iterdir()}
    with serve_hub({"org/encoder": {COMMIT: files}}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        changes = {"encoder__checkpoint": "hf:org/encoder", "encoder__pretrained": "true", "train__epochs": 1}
        config = tiny_config(tmp_path, model__architecture="[finetune]", **changes)
        train_run(config, silent_console())
        bodies = [path for method, path, _ in hub.requests if method == "GET" and path.startswith("/cdn/")]
        assert len(bodies) == 1  # the driver fetches; the folds take the weights from it
    run = tmp_path / "runs" / "tiny"
    manifest = json.loads((run / "ensemble/manifest.json").read_text())
    origin = manifest["encoder"]["origin"]
    assert manifest["complete"] and origin["revision"] == COMMIT
    assert origin["source"] == f"{hub.url}/org/encoder"
    ids, proba = read_oof(run)
    assert len(ids) == 48 and proba.shape == (48, 2)
