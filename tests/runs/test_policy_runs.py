"""Whole runs that compute as cards do, on CPUs: bfloat16 by Keras's policy."""

import json

import numpy as np
import pytest
from tiny_run import make_rows, read_oof, silent_console, tiny_config

import raytrain
from raytrain.crossval.driver import train_run

BY_POLICY = "bfloat16"


@pytest.mark.slow
def test_a_run_by_policy_gives_an_artifact_that_predicts_by_policy(here, tmp_path):
    """A trained and a frozen encoder; float32 makes the same of their weights, but for rounding."""
    options = {"model__architecture": "[finetune,textcnn]", "train__precision": BY_POLICY}
    train_run(tiny_config(tmp_path, **options), silent_console())
    run = tmp_path / "runs" / "tiny"
    manifest = json.loads((run / "ensemble" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["config"]["train"]["precision"] == BY_POLICY
    assert np.isfinite(read_oof(run)[1]).all()
    texts, predicted = [row["text"] for row in make_rows(20, seed=3)], []
    for precision in (BY_POLICY, "float32"):
        manifest["config"]["train"]["precision"] = precision
        (run / "ensemble" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        predicted.append(raytrain.load(str(run / "ensemble")).predict_proba(texts))
    assert np.shape(predicted) == (2, 20, 2)
    np.testing.assert_allclose(predicted[0], predicted[1], atol=0.02)
    assert np.abs(predicted[0] - predicted[1]).max() > 1e-6
