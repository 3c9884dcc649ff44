import numpy as np
import pytest
from folds_here import trained_here
from tiny_run import make_rows, silent_console, tiny_config, tiny_tag_config

from raytrain.crossval.driver import train_run
from raytrain.errors import ArtifactError
from raytrain.vectors.load import load_vectors

pytestmark = pytest.mark.slow


def trained(config):
    with trained_here():
        train_run(config, silent_console())
    return f"{config.storage}/{config.name}/ensemble"


def test_the_networks_of_an_ensemble_give_vectors_and_its_n_grams_none(local_ray, tmp_path):
    ensemble = trained(tiny_config(tmp_path, model__architecture="[textcnn,tfidf]", train__epochs=1))
    texts = [row["text"] for row in make_rows(5)]
    vectors = load_vectors(ensemble).embed(texts)
    assert len(vectors) == 5 and vectors.shape[1] % 2 == 0  # of two folds
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("what", ["a tagger's", "one of n-grams alone"])
def test_what_has_no_vectors_of_texts_is_refused(local_ray, tmp_path, what):
    make, options = tiny_config, {"model__architecture": "tfidf"}
    if what == "a tagger's":
        make, options = tiny_tag_config, {"model__architecture": "crf", "train__epochs": 1}
    ensemble = trained(make(tmp_path, **options))
    with pytest.raises(ArtifactError, match=f"found {what}"):
        load_vectors(ensemble)
