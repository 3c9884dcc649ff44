import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

from encoder_checkpoints import transformer_of

from raytrain.pretrained.cost import TEXTS, cost_lines, texts_per_second


def test_the_lines_tell_memory_and_speed(encoder_config):
    memory, speed = cost_lines(transformer_of("bert", encoder_config("bert")), 100_000_000, 64)
    assert "400 MB of weights; 1,600 MB where they are trained" in memory
    assert "texts/s of 64 tokens" in speed


def test_speed_is_what_the_encoder_took(encoder_config, monkeypatch):
    clock = iter([0.0, 4.0, 4.0, 6.0, 6.0, 9.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    assert texts_per_second(transformer_of("bert", encoder_config("bert")), 16) == TEXTS / 2
