import matplotlib.image
import numpy as np
import pytest

from raytrain.groups import picture
from raytrain.groups.picture import choose_points, draw_groups, lay_out
from raytrain.groups.tell import Group
from raytrain.keywords.report import find_chinese_font

GROUPS = [Group(0, 30, ["记者"], [0], [7]), Group(1, 30, ["早$餐"], [31], [])]


def test_of_many_texts_the_told_ones_are_drawn_and_as_many_others_as_fit(monkeypatch):
    monkeypatch.setattr(picture, "MOST_POINTS", 10)
    groups = np.repeat([0, 1], 30)
    rows = choose_points(groups, GROUPS, seed=0)
    assert len(rows) == 10 and {0, 7, 31} <= set(rows.tolist()) and (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(choose_points(groups[:9], [], seed=0), np.arange(9))


@pytest.mark.parametrize("size", [1, 2, 9, 60])
def test_places_lie_between_0_and_1_and_neighbours_stay_so(size):
    rng = np.random.default_rng(0)
    groups = np.arange(size) % 2
    vectors = rng.normal(0, 0.05, (size, 6)) + groups[:, None] * 3
    places = lay_out(vectors.astype(np.float32), seed=0)
    assert places.shape == (size, 2) and places.min() >= 0 and places.max() <= 1
    if size == 60:
        apart = np.linalg.norm(places[groups == 0].mean(axis=0) - places[groups == 1].mean(axis=0))
        assert apart > 2 * places[groups == 0].std(axis=0).max()


@pytest.mark.skipif(find_chinese_font() is None, reason="no font with Chinese characters")
def test_a_picture_is_drawn_and_no_two_names_overlap(tmp_path, monkeypatch):
    drawn, write = [], picture._write_names

    def watched(figure, axes, *rest):
        write(figure, axes, *rest)
        drawn.append([figure, [text.get_window_extent() for text in axes.texts]])

    monkeypatch.setattr(picture, "_write_names", watched)
    told = [Group(number, 10, [f"词语{number}"], [], []) for number in range(8)]
    places = np.random.default_rng(0).uniform(0.45, 0.55, (80, 2))  # all in the same place
    assert draw_groups(places, np.arange(80) % 8, told, tmp_path / "groups.png") is None
    assert matplotlib.image.imread(tmp_path / "groups.png").std() > 0.01
    [[_, boxes]] = drawn
    assert len(boxes) == 8
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


@pytest.mark.parametrize("size", [2, 60])
def test_vectors_of_one_direction_have_places_too(size):
    places = lay_out(np.linspace(-1, 1, size, dtype=np.float32)[:, None], seed=0)
    assert places.shape == (size, 2) and np.isfinite(places).all() and np.ptp(places[:, 0]) == 1
