import pytest

from raytrain.tensors.pickled import MAKERS, STORAGES, Storage, UnpickleError, count_of


def test_few_names_are_known():
    assert len(MAKERS) + len(STORAGES) == 15
    assert all(name.startswith(("torch.", "collections.OrderedDict")) for name in MAKERS | STORAGES)


@pytest.mark.parametrize("value", [-1, True, 1.0, "1", None, 1 << 48])
def test_what_is_no_count_is_refused(value):
    with pytest.raises(UnpickleError):
        count_of(value)


def test_an_empty_tensor_needs_no_storage():
    view = MAKERS["torch._utils._rebuild_tensor"]((Storage("float32", "0", 0), 0, (0, 3), (3, 1)))
    assert view.shape == (0, 3)
