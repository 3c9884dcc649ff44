import raytrain  # noqa: I001 (sets the Keras variables before TensorFlow is imported)

import json
import subprocess
import sys
import sysconfig

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file

from raytrain.ensemble.artifact import load_ensemble
from raytrain.ensemble.load import load
from raytrain.errors import ArtifactError, InputError
from raytrain.exporting.check import check_texts
from raytrain.exporting.driver import export
from raytrain.exporting.settings import NUMERICS, CheckFile, ExportSettings
from raytrain.exporting.tokenization import Reader
from raytrain.exporting import formats
from raytrain.fusion.rule import FusionRule
from raytrain.pretrained.directory import read_encoder

TEXTS = [
    "网传明天停水，快转给家人",
    "早餐好吃",
    "",
    "店家说今天不开门，大家不要白跑一趟，明天早上再来" * 2,
    "ＡＢc[SEP]",
    "热情水停",
]
# Runs a file with the libraries of this environment, but not with what is installed from a checkout.
ALONE = """
import importlib.util, runpy, sys
sys.path.append(sys.argv[1])
assert importlib.util.find_spec("raytrain") is None
sys.path.insert(0, sys.argv[2])
sys.argv = sys.argv[3:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_alone(folder, *arguments):
    """The lines that an export's example prints, where raytrain is not to be found."""
    program = [sys.executable, "-I", "-S", "-B", "-c", ALONE, sysconfig.get_path("purelib"), str(folder)]
    given = [*program, str(folder / "example.py"), *arguments]
    answer = subprocess.run(given, capture_output=True, text=True, check=False, cwd=folder.parent)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.splitlines()


def predicted(lines):
    return [line.split("\t")[0] for line in lines], np.array(
        [[float(value) for value in line.split("\t")[1].split(" ")] for line in lines]
    )


@pytest.fixture(scope="module")
def fused(new_ensemble, tmp_path_factory):
    """A frozen ALBERT, heads with words beside heads without, windows, a rule with costs."""
    ensemble = new_ensemble(tmp_path_factory.mktemp("fused"), windows=2, truncate="head_tail")
    ensemble.add_characters({char: np.random.default_rng(ord(char)).normal(0, 0.3, 4) for char in "停水热情"})
    ensemble.add_architecture("textcnn", False, folds=1, repeats=2)
    ensemble.add_architecture("finetune", False, pooling="mean")
    weights = {"textcnn/r0": 0.5, "textcnn/r1": 0.2, "finetune/r0": 0.3}
    costs = np.array([[0, 1, 1], [9, 0, 1], [5, 1, 0]])
    ensemble.manifest["fusion"] = FusionRule(weights, "logits", None, 0.8, costs).to_dict()
    return ensemble.write()


@pytest.fixture(scope="module")
def exported(fused, tmp_path_factory):
    """The folder of its ONNX, in eight bits, too; and what was said of it."""
    folder = tmp_path_factory.mktemp("out")
    rows = [f"{text},{label}" for text, label in zip(TEXTS, "好坏好坏好坏", strict=True) if text]
    (folder / "labelled.csv").write_text("\n".join(["body,kind", *rows]), encoding="utf-8")
    check = CheckFile(str(folder / "labelled.csv"), ["body"], "kind")
    return folder / "onnx", export(fused, folder / "onnx", ExportSettings("onnx", int8=True, check=check))


@pytest.fixture(scope="module")
def trained(new_ensemble, tmp_path_factory):
    """BERTs of their own for pairs of two labels, trained in bfloat16."""
    ensemble = new_ensemble(tmp_path_factory.mktemp("trained"), "bert", [0, 1], has_words=False)
    ensemble.manifest["config"]["data"]["text"] = ["text", "second"]
    ensemble.manifest["config"]["train"]["precision"] = "bfloat16"
    ensemble.add_architecture("finetune", True)
    return ensemble.write()


def test_numbers_are_predicts(fused, exported):
    output, said = exported
    predictor, reader = load(fused), Reader(output)
    proba = reader.predict(TEXTS, formats.open_onnx(output / "model.onnx"))
    np.testing.assert_allclose(proba, predictor.predict_proba(TEXTS), atol=NUMERICS)
    assert reader.decide(proba) == predictor.predict(TEXTS)
    assert said.notes == [] and said.checks[1].difference <= NUMERICS


def test_one_frozen_encoder_serves_all_folds(exported):
    import onnx

    model = onnx.load(exported[0] / "model.onnx")
    sizes = [tuple(array.dims) for array in model.graph.initializer]
    [tokens] = {size for size in sizes if size[-1:] == (6,) and size[0] > 20}
    assert sizes.count(tokens) == 1
    assert [node.op_type for node in model.graph.node].count("Softmax") >= 4  # of each fold's head


def test_the_example_runs_without_raytrain(fused, exported):
    labels, proba = predicted(run_alone(exported[0], *TEXTS))
    predictor = load(fused)
    np.testing.assert_allclose(proba, predictor.predict_proba(TEXTS), atol=NUMERICS)
    assert labels == predictor.predict(TEXTS)
    assert len((exported[0] / "example.py").read_text(encoding="utf-8").splitlines()) <= 12


def test_eight_bits_are_smaller_and_told(fused, exported):
    output, said = exported
    predicted = load(fused).predict([text for text in TEXTS if text])
    hits = sum(label == own for label, own in zip(predicted, "好坏坏好坏", strict=True))
    assert [check.accuracy for check in said.checks[:2]] == [hits / 5, hits / 5]
    names = [check.model for check in said.checks]
    assert names == ["predict", "model.onnx", "model.int8.onnx"]
    assert 1e-4 < said.checks[2].difference < 0.2
    assert said.checks[2].bytes == (output / "model.int8.onnx").stat().st_size
    described = json.loads((output / "export.json").read_bytes())
    assert described["models"] == ["model.onnx", "model.int8.onnx"]
    assert described["checks"]["texts"] == 5
    assert described["checks"]["found"] == [check.to_dict() for check in said.checks]


def test_an_export_describes_itself(fused, exported):
    output, said = exported
    described = json.loads((output / "export.json").read_bytes())
    assert described["labels"] == ["好", "坏", "无关"] and described["task"] == "classify"
    assert described["reading"] == {"maxlen": 20, "truncate": "head_tail", "windows": 2, "pairs": False}
    told = {entry["name"]: (entry["dtype"], entry["shape"]) for entry in described["inputs"]}
    assert told == {
        "token_ids": ("int32", [None, None]),
        "segment_ids": ("int32", [None, None]),
        "word_ids": ("int32", [None, None]),
        "new_word_vectors": ("float32", [None, 4]),
        "text_of_row": ("int32", [None]),
    }
    assert described["architectures"]["textcnn"] == {"folds": 2, "encoder": "frozen", "pooling": "first"}
    assert described["fusion"]["temperature"] == 0.8 and described["costs"][1] == [9, 0, 1]
    assert described["tokenizer"]["special"]["[CLS]"] == 2
    assert {*described["files"], "export.json"} == {*said.files}


def test_no_file_holds_a_path_of_this_machine(exported):
    output, _ = exported
    places = [str(output.parent).encode(), str(raytrain.__path__[0]).encode()]
    held = [path.name for path in output.rglob("*") if any(place in path.read_bytes() for place in places)]
    assert held == []


def test_a_saved_model_of_encoders_that_trained(trained, tmp_path):
    said = export(trained, tmp_path / "out", ExportSettings("savedmodel"))
    assert [check.model for check in said.checks] == ["predict", "saved_model"]
    assert said.checks[1].difference <= NUMERICS  # of predict in float32
    labels, proba = predicted(run_alone(tmp_path / "out", "房间干净", "早餐好吃"))
    expected = load(trained).predict_proba(["房间干净"], ["早餐好吃"])
    np.testing.assert_allclose(proba, expected, atol=0.03)
    assert labels == [str(expected[0].argmax())]
    saved = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert str(tmp_path).encode() not in saved and str(raytrain.__path__[0]).encode() not in saved


def test_weights_alone_lie_under_their_layers(fused, trained, tmp_path):
    said = export(fused, tmp_path / "frozen", ExportSettings("keras-weights"))
    assert said.checks == [] and "encoder.h5" in said.files
    assert "textcnn/r1-fold-00.head.h5" in said.files
    stored = load_file(f"{fused}/textcnn/r1-fold-00.safetensors")
    with h5py.File(tmp_path / "frozen" / "textcnn" / "r1-fold-00.head.h5") as file:
        group = file["convolution"]
        arrays = [group[name][()] for name in group.attrs["weight_names"]]
    np.testing.assert_array_equal(arrays[0], stored["convolution.0.kernel"])
    export(trained, tmp_path / "own", ExportSettings("keras-weights"))
    lines = run_alone(tmp_path / "own")
    assert any(line.startswith("finetune/r0-fold-01.encoder.h5 Embedding-Token ") for line in lines)


def hidden_states_of(directory, ids):
    from raytrain.exporting.graph import EnsembleGraph

    return EnsembleGraph(load_ensemble(directory))._encoder([ids, ids * 0], training=False).numpy()


@pytest.mark.parametrize("kind", ["albert", "bert"])
@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
def test_bert4keras_reads_an_encoders_weights_by_name(new_ensemble, tmp_path, kind, activation):
    from bert4keras.models import build_transformer_model

    ensemble = new_ensemble(tmp_path / "in", kind, has_words=False, own={"hidden_act": activation})
    ensemble.add_architecture("finetune", False, folds=1, noise=1)
    directory = ensemble.write()
    said = export(directory, tmp_path / "out", ExportSettings("keras-weights"))
    assert said.notes == []
    model = build_transformer_model(str(tmp_path / "out" / "config.json"), model=kind)
    model.load_weights(str(tmp_path / "out" / "encoder.h5"), by_name=True)
    ids = np.array([[2, 5, 6, 7, 3]])
    found = model.predict([ids, ids * 0], verbose=0)
    np.testing.assert_allclose(found, hidden_states_of(directory, ids), atol=2e-5)
    again = read_encoder(str(tmp_path / "out"), True, 20)  # and so does raytrain
    assert again.config["hidden_act"] == activation


def test_norms_that_bert4keras_computes_otherwise_are_told(new_ensemble, tmp_path):
    ensemble = new_ensemble(tmp_path / "in", "bert", has_words=False, own={"layer_norm_eps": 1e-5})
    ensemble.add_architecture("finetune", False, folds=1)
    [told] = export(ensemble.write(), tmp_path / "out", ExportSettings("keras-weights")).notes
    assert "layer_norm_eps 1e-05" in told and "bert4keras adds 1e-12" in told


def test_rows_of_one_label_are_enough_to_be_judged_by(fused, tmp_path):
    labelled = tmp_path / "labelled.csv"
    labelled.write_text("text,label\n早餐好吃,坏\n店家说,坏\n", encoding="utf-8")
    found = check_texts(load_ensemble(fused), CheckFile(str(labelled)))
    assert found.texts == ["早餐好吃", "店家说"]
    assert found.labels.tolist() == [load_ensemble(fused).labels.index("坏")] * 2


def test_all_that_is_wrong_is_told_before_anything_is_written(fused, tmp_path):
    labelled = tmp_path / "labelled.csv"
    labelled.write_text("text,label\n好,差\n坏,坏\n", encoding="utf-8")
    (tmp_path / "there").mkdir()
    settings = ExportSettings("savedmodel", int8=True, check=CheckFile(str(labelled)))
    with pytest.raises(InputError) as raised:
        export(fused, tmp_path / "there", settings)
    told = str(raised.value)
    assert "expected a new folder" in told and "int8: " in told and "found 差" in told
    with pytest.raises(InputError, match="does not exist"):
        export(fused, tmp_path / "no" / "out", ExportSettings("onnx"))
    with pytest.raises(ArtifactError, match="no ensemble here"):
        export(str(tmp_path), tmp_path / "out", ExportSettings("onnx"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labelled.csv", "there"]


def test_a_failure_leaves_nothing(fused, tmp_path, monkeypatch):
    def fail(graph, path):
        raise KeyboardInterrupt

    monkeypatch.setattr(formats, "write_saved_model", fail)
    with pytest.raises(KeyboardInterrupt):
        export(fused, tmp_path / "out", ExportSettings("savedmodel"))
    assert list(tmp_path.iterdir()) == []
