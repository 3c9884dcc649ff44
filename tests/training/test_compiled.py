"""Training whose layers and optimizer XLA compiles, held against the same without."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import itertools

import numpy as np
import pytest
import tensorflow as tf
from operations import launched, update_graph

from plain_settings import plain_settings

from raytrain.devices import set_precision
from raytrain.errors import RaytrainError
from raytrain.training import step as step_module
from raytrain.network import transformer
from raytrain.network.build import build_model
from raytrain.training.loop import FoldTraining
from raytrain.training.objectives import Classification
from raytrain.training.step import TrainStep
from raytrain.network.weights import encoder_variables, head_variables
from raytrain.text.batches import FeatureRows, plan_epoch

pytestmark = pytest.mark.usefixtures("float32_again")

KINDS, PRECISIONS = ("bert", "albert"), ("float32", "bfloat16")
ALL_KINDS = (*KINDS, "nezha", "roformer", "roformer_v2")  # all that differ within their layers
NUM_ROWS, NUM_VALID, LABELS = 20, 4, np.arange(20) % 2
ALIKE, UNLIKE = (3, 15), (3, 40)  # bounds of the texts' lengths: of one bucket, and of three


@pytest.fixture(scope="module")
def corpora(ragged, vocab):
    """Features by the bounds of their lengths; which label each text has can be read off it."""

    def make(bounds):
        rng, rows = np.random.default_rng(0), []
        for label, length in zip(LABELS, rng.integers(*bounds, NUM_ROWS), strict=True):
            tokens = rng.integers(11, len(vocab), length)
            tokens[:2] = 2, 9 + label
            rows.append((tokens, np.zeros(length, int), tokens % 20))
        return FeatureRows(ragged(rows))

    return {bounds: make(bounds) for bounds in (ALIKE, UNLIKE)}


@pytest.fixture
def fold(corpora, encoder_config):
    """Makes a FoldTraining; keywords that TrainSettings has go there.

    Its weights are large enough that what is computed wrongly would show.
    """

    def make(compiled, kind="bert", precision="float32", dropout=0.1, lengths=ALIKE, num_layers=2, **options):
        set_precision(precision)
        config = encoder_config(kind, dropout) | {"num_hidden_layers": num_layers}
        model = build_model("finetune", kind, config, 2, (20, 4), True, dropout, 7)
        rng = np.random.default_rng(7)
        for variable in (head_variables(model) | encoder_variables(model)).values():
            variable.assign_add(rng.normal(0, 0.1, variable.shape))
        names = ("rank", "num_workers", "accumulation", "strategy")
        shares = {name: options.pop(name) for name in names if name in options}
        plain = {"batch_size": NUM_ROWS - NUM_VALID, "encoder_learning_rate": 1e-3, "clip_norm": 1.0}
        settings = plain_settings(**plain | {"weight_decay": 0.01, "compile": compiled} | options)
        rows, objective = np.arange(NUM_ROWS), Classification(LABELS, settings)
        train, valid = rows[NUM_VALID:], rows[:NUM_VALID]
        return FoldTraining(model, corpora[lengths], objective, train, valid, settings, 7, **shares)

    return make


def update(training, rows=None, number=0):
    """Runs one update. Returns its loss, and the gradients, of which the first moments are a tenth."""
    pieces = training.updates.lay(training.train_rows if rows is None else rows)
    loss = float(training.updates.update(pieces, number, 10, training.seed))
    state = training.updates.step.optimizer.state
    return loss, {name: 10 * value.numpy() for name, value in state.items() if name.startswith("m/")}


def assert_alike(found, expected, precision="float32"):
    """Losses and gradients, but for the bias of the keys, which changes no attention: it is rounding."""
    (loss, gradients), (expected_loss, expected_gradients) = found, expected
    assert loss == pytest.approx(expected_loss, rel={"float32": 1e-5, "bfloat16": 2e-3}[precision])
    assert gradients.keys() == expected_gradients.keys()
    for name, expected in expected_gradients.items():
        if name.endswith("SelfAttention.3.bias"):
            continue
        one, other = gradients[name].ravel().astype(float), expected.ravel().astype(float)
        norms = np.linalg.norm(one), np.linalg.norm(other)
        assert norms[1] > 0, name
        if precision == "float32":
            assert np.linalg.norm(one - other) < 1e-4 * norms[1], name
        assert one @ other / (norms[0] * norms[1]) > 0.999, name


# ── one update, and ten ────────────────────────────────────────────────────────────────────────────


# Each kind by one precision, BERT by both: what differs by precision lies in parts that all kinds have.
@pytest.mark.parametrize(
    ("kind", "precision"),
    [("bert", "float32"), *zip(ALL_KINDS, itertools.cycle(PRECISIONS[::-1]), strict=False)],
)
def test_an_update_is_that_of_the_plain_step_its_masks_among_it(fold, kind, precision):
    one, other = (fold(compiled, kind, precision) for compiled in (True, False))
    assert_alike(update(one), update(other), precision)
    for name, weight in one.weights().items():
        if name.endswith("SelfAttention.3.bias"):
            continue
        error = {"float32": 1e-5, "bfloat16": 2e-3}[precision]  # Adam's first step is the rate itself
        np.testing.assert_allclose(weight, other.weights()[name], atol=error, err_msg=name)
    pieces = other.updates.lay(other.train_rows)
    masked = [
        float(
            other.updates.step._differentiate(*pieces[0], tf.constant(seed), other.updates.step.compiles)[0]
        )
        for seed in ([7, 0], [7, 1])
    ]
    assert abs(masked[0] - masked[1]) > 1e-2  # with other masks it would have failed above


@pytest.mark.long
@pytest.mark.parametrize(("kind", "precision"), zip(KINDS, PRECISIONS, strict=True))
def test_updates_lower_the_loss(fold, kind, precision):
    rates = {"learning_rate": 3e-2, "encoder_learning_rate": 5e-3, "schedule": "constant"}
    training = fold(True, kind, precision, **rates)
    losses = []
    for numbers in (range(1, 21), ()):
        [piece] = training.updates.lay(training.train_rows)
        losses.append(
            float(
                training.updates.step._differentiate(
                    *piece, tf.constant([7, 0]), training.updates.step.compiles
                )[0]
            )
        )  # by the same masks
        for number in numbers:
            update(training, number=number)
    assert losses[1] < 0.95 * losses[0], losses


def test_all_layers_share_one_compilation(fold):
    """Forward and back, and the last layer, of which only the first position is read, its own."""
    names = []
    for num_layers in (2, 5):
        function = fold(True, num_layers=num_layers).updates.step._whole.get_concrete_function()
        library = function.graph.as_graph_def().library.function
        called = {node.attr["f"].func.name for node in function.graph.as_graph_def().node}
        names.append([f.signature.name for f in library if f.signature.name in called])
        assert all(f.attr["_XlaMustCompile"].b for f in library if f.signature.name in called)
    assert len(names[0]) == len(names[1]) == 2 * 2 + 1  # the one more is the optimizer
    assert launched(function)["XLA"] == 2 * 5 + 1


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a card")
def test_nothing_is_compiled_on_a_cpu_unless_it_is_asked_for(fold):
    assert [fold(compiled).updates.step.compiles for compiled in ("auto", True, False)] == [
        False,
        True,
        False,
    ]


@pytest.mark.long
def test_operations_of_an_update_stay_few():
    """Of BERT-base's twelve layers: there were 5,421 in float32 and 5,789 in bfloat16."""
    totals = {key: launched(update_graph(*key)).total() for key in (("float32", True), ("float32", False))}
    assert totals["float32", True] < 450
    assert totals["float32", False] < 3400
    assert launched(update_graph("bfloat16", False)).total() < 3800


# ── pieces, workers, few shapes ────────────────────────────────────────────────────────────────────


def test_a_batch_in_pieces_gives_the_update_of_the_whole(fold):
    whole = update(fold(False, dropout=0.0))
    pieces = fold(True, dropout=0.0, accumulation=3)
    assert_alike(update(pieces), whole)
    assert not any(value.numpy().any() for value in pieces.updates.step._sums.values())


def test_shares_of_the_workers_add_up_to_the_batch(fold):
    expected, summed, total = update(fold(False, dropout=0.0, clip_norm=None)), {}, 0.0
    for rank in range(3):
        loss, gradients = update(fold(True, dropout=0.0, clip_norm=None, rank=rank, num_workers=3))
        summed, total = {k: summed.get(k, 0) + value for k, value in gradients.items()}, total + loss
    assert_alike((total, summed), expected)


def test_under_a_strategy_the_layers_are_compiled_and_the_optimizer_is_not(fold):
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        training = fold(True, strategy=strategy)
    assert_alike(update(training), update(fold(False)))
    assert launched(training.updates.step._whole.get_concrete_function())["XLA"] == 2 * 2


def test_batches_of_a_compiled_fold_have_few_shapes(fold):
    training = fold(True, lengths=UNLIKE, batch_size=3)
    plan = plan_epoch(training.train_rows, training.features.lengths, 3, np.random.default_rng(0))
    assert {len(rows) for rows in plan} == {3, 1}
    shapes = {piece[0]["token_ids"].shape for rows in plan for piece in training.updates.lay(rows)}
    assert {rows for rows, _ in shapes} == {3}
    assert 1 < len(shapes) <= 4


def test_rows_that_fill_up_a_batch_change_nothing(fold):
    """Not even the masks: each row keeps its place."""
    rows = np.arange(NUM_VALID, NUM_VALID + 5)
    full, small = fold(True), fold(False)
    assert [len(piece[2]) for piece in full.updates.lay(rows)] == [NUM_ROWS - NUM_VALID]
    assert_alike(update(full, rows), update(small, rows))


def test_more_padding_changes_nothing(fold):
    rows = np.array([row for row in range(NUM_ROWS) if row % 3])
    one, other = (fold(compiled, dropout=0.0, lengths=UNLIKE) for compiled in (True, False))
    one.updates._batches._lengths = one.updates._batches._lengths[-1:]
    lengths = [training.updates.lay(rows[:2])[0][0]["token_ids"].shape[1] for training in (one, other)]
    assert lengths[0] > lengths[1]
    assert_alike(update(one, rows[:2]), update(other, rows[:2]))


@pytest.mark.long
def test_a_compiled_fold_learns_what_the_plain_one_learns(fold):
    options = {"dropout": 0.0, "lengths": UNLIKE, "batch_size": 6, "epochs": 2}
    one, other = (fold(compiled, **options) for compiled in (True, False))
    for training in (one, other):
        while not training.finished:
            training.run_epoch()
    for found, expected in zip(one.history, other.history, strict=True):
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    np.testing.assert_allclose(one.predicted, other.predicted, atol=1e-3)


@pytest.mark.long
def test_a_fold_resumed_within_an_epoch_equals_a_calm_one(fold, tmp_path):
    options = {"batch_size": 6, "epochs": 1, "accumulation": 2}
    calm, broken, resumed = (fold(True, **options) for _ in range(3))
    calm.run_epoch()
    asked = iter(range(9))
    assert broken.run_epoch(pause=lambda: next(asked) == 2) is None
    broken.save(tmp_path)
    resumed.load(tmp_path)
    assert (resumed.epoch, resumed.step) == (0, 2)
    resumed.run_epoch()
    for name, value in calm.weights().items():
        np.testing.assert_allclose(resumed.weights()[name], value, atol=1e-6, err_msg=name)


# ── where XLA cannot ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def broken_xla(monkeypatch):
    """Layers with an operation that XLA does not know."""

    def compiled(settings):
        def layer(inputs, mask, keys, *weights):
            mask = tf.ensure_shape(tf.numpy_function(lambda x: x, [mask], tf.bool), mask.shape)
            return transformer._differentiable(settings)(inputs, mask, keys, *weights)

        return tf.function(layer, autograph=False, jit_compile=True)

    monkeypatch.setattr(transformer, "_compiled", compiled)


def test_where_xla_cannot_compile_auto_trains_without(fold, broken_xla, monkeypatch):
    plain = fold(False, accumulation=2)
    monkeypatch.setattr(step_module, "compiles", lambda wanted: True)  # as where there is a card
    training = fold("auto", accumulation=2)
    assert training.refusal is None and training.updates.step.compiles
    assert_alike(update(training), update(plain))
    assert not training.updates.step.compiles
    assert "Error" in training.refusal and "\n" not in training.refusal
    assert_alike(update(training, number=1), update(plain, number=1))


@pytest.mark.long
def test_a_piece_counts_once_where_xla_cannot_compile_the_optimizer(fold, monkeypatch):
    change = TrainStep._change_weights

    def broken(self, gradients, factor, number):
        if self.compiles:
            factor = tf.ensure_shape(tf.numpy_function(lambda x: x, [factor], tf.float32), ())
        change(self, gradients, factor, number)

    plain = update(fold(False, accumulation=2, clip_norm=None))
    monkeypatch.setattr(step_module, "compiles", lambda wanted: True)
    monkeypatch.setattr(TrainStep, "_change_weights", broken)
    monkeypatch.setattr(TrainStep, "_clear_sums", lambda self: None)  # as if it had not come to that
    training = fold("auto", accumulation=2, clip_norm=None)
    assert_alike(update(training), plain)
    assert training.refusal


def test_where_xla_cannot_compile_true_says_so(fold, broken_xla):
    with pytest.raises(RaytrainError, match=r"train\.compile is true, but XLA cannot .*Error"):
        update(fold(True))


def test_a_lack_of_memory_is_no_refusal(fold, monkeypatch):
    def starve(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory")

    monkeypatch.setattr(TrainStep, "_run", starve)
    monkeypatch.setattr(step_module, "compiles", lambda wanted: True)
    training = fold("auto")
    with pytest.raises(tf.errors.ResourceExhaustedError):
        update(training)
    assert training.refusal is None
