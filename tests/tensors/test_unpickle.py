"""What a pickle may do here, and what the pickles of attackers do."""

import collections
import contextlib
import os
import pickle
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch_files import integer, name, pickle_of, some_arrays, state_pickle, storage, tensor, text, tuple_of

from raytrain.tensors.pickled import Storage, UnpickleError, View
from raytrain.tensors.unpickle import MOST_BYTES, load

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 100), 1 << 100)
    | st.floats(allow_nan=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)


@given(VALUES, st.sampled_from([2, 3, 4, 5]))
def test_plain_values_are_read_as_pickle_reads_them(value, protocol):
    data = pickle.dumps(value, protocol)
    assert load(data) == (value, len(data))


def test_tensors_are_views_of_storages():
    found, _ = load(pickle_of(tensor("HalfStorage", "7", 6, (2, 3), strides=(1, 2))))
    assert found == View(Storage("float16", "7", 6), 0, (2, 3), (1, 2))


def test_an_ordered_dict_with_versions_of_modules_is_a_dict():
    state = collections.OrderedDict(a=1)
    state._metadata = {"": {"version": 1}}
    for protocol in (2, 4):
        assert load(pickle.dumps(state, protocol))[0] == {"a": 1}


class Payload:
    """Makes a file when Python's own reader takes it."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_payload_is_not_run(tmp_path, protocol):
    data = pickle.dumps({"weight": Payload(f"touch {tmp_path}/ran")}, protocol)
    with pytest.raises(UnpickleError, match=r"posix\.system|no operation"):
        load(data)
    assert not (tmp_path / "ran").exists()


SYSTEM = name("os", "system")
COMMAND = text("touch /tmp/ran")
NESTED = name("torch", "FloatStorage")
ATTACKS = {
    "a name of another module": (SYSTEM, r"'os\.system'"),
    "a name from strings": (text("builtins") + text("eval") + b"\x93", r"'builtins\.eval'"),
    "a dotted name": (name("torch", "FloatStorage.__init__"), "FloatStorage.__init__"),
    "a name in the module's own": (name("torch._utils", "os"), r"torch\._utils\.os"),
    "a name of no strings": (integer(1) + integer(2) + b"\x93", "what is no name"),
    "a class made by INST": (b"(" + COMMAND + b"ios\nsystem\n", "INST"),
    "a class made by OBJ": (b"(" + NESTED + COMMAND + b"o", "OBJ"),
    "a class made by NEWOBJ": (NESTED + tuple_of(COMMAND) + b"\x81", "NEWOBJ"),
    "a class made by NEWOBJ_EX": (NESTED + b")}" + b"\x92", "NEWOBJ_EX"),
    "a call of a storage": (NESTED + tuple_of(COMMAND) + b"R", "calls what makes no tensor"),
    "a call of a text": (text("os.system") + tuple_of(COMMAND) + b"R", "calls what makes no tensor"),
    "a call without a tuple": (name("collections", "OrderedDict") + b"}R", "calls what makes no tensor"),
    "a state of a name": (NESTED + b"}b", "expected a dict"),
    "a state that is no dict": (b"}" + text("x") + b"b", "expected a dict as the state"),
    "an extension": (b"\x82\x01", "EXT1"),
    "an extension of two bytes": (b"\x83\x01\x00", "EXT2"),
    "an extension of four": (b"\x84\x01\x00\x00\x00", "EXT4"),
    "a persistent id as text": (b"Pfile:///etc/passwd\n", "PERSID"),
    "a persistent id that is no storage": (text("x") + b"Q", "expected the place of a storage"),
    "a storage of no kind": (
        tuple_of(text("storage"), text("F"), text("0"), text("cpu"), integer(1)) + b"Q",
        "expected the kind",
    ),
    "a storage of negative size": (storage("FloatStorage", "0", -1), "expected a count"),
    "a long of four lengths": (b"\x8b\xff\xff\xff\x7f", "LONG4"),
    "a huge long": (b"\x8a\xff" + bytes(255), "an integer of 255 bytes"),
    "a text longer than the file": (b"\x8d" + struct.pack("<Q", 1 << 60), "too early"),
    "bytes longer than the file": (b"\x8e" + struct.pack("<Q", 1 << 60), "BINBYTES8"),
    "an array of bytes": (b"\x96" + struct.pack("<Q", 1 << 40), "BYTEARRAY8"),
    "a buffer from elsewhere": (b"\x97", "NEXT_BUFFER"),
    "a value never kept": (b"j\xff\xff\xff\x7f", "never kept"),
    "nothing to take": (b"R", "takes a value where there is none"),
    "a mark for a value": (b"(\x85", "takes a value where there is none"),
    "values without a mark": (b"t", "no mark"),
    "a dict that is none": (b"](" + text("a") + text("b") + b"u", "expected a dict"),
    "an odd number of items": (b"}(" + text("a") + b"u", "a dict of names"),
    "a key that is a tuple": (b"})" + text("b") + b"s", "a dict of names"),
    "items of a list that is none": (b"}" + text("a") + b"a", "expected a list"),
    "pairs that are none": (
        name("collections", "OrderedDict") + tuple_of(b"]" + text("a") + b"a") + b"R",
        "pairs",
    ),
    "a name that is not UTF-8": (b"X\x01\x00\x00\x00\xff", "not UTF-8"),
    "a name without an end": (b"c" + b"a" * 300, "within a name"),
    "a tensor beyond its storage": (tensor("FloatStorage", "0", 3, (4,)), "does not hold"),
    "a tensor that begins behind it": (tensor("FloatStorage", "0", 3, (2,), offset=2), "does not hold"),
    "a tensor of negative stride": (tensor("FloatStorage", "0", 3, (2,), strides=(-1,)), "expected a count"),
    "a tensor of negative size": (tensor("FloatStorage", "0", 3, (-2,)), "expected a count"),
    "one number for a million million": (
        tensor("FloatStorage", "0", 1, (1 << 20, 1 << 20), strides=(0, 0)),
        "does not hold",
    ),
    "a tensor of many dimensions": (tensor("FloatStorage", "0", 1, (1,) * 9), "expected a shape"),
    "fewer strides than dimensions": (tensor("FloatStorage", "0", 4, (2, 2), strides=(1,)), "strides"),
    "a tensor of no storage": (
        name("torch._utils", "_rebuild_tensor_v2") + tuple_of(text("x")) + b"R",
        "storage",
    ),
    "a parameter of no tensor": (
        name("torch._utils", "_rebuild_parameter") + tuple_of(text("x")) + b"R",
        "parameter",
    ),
    "a tensor on a fast memory": (name("torch.cuda", "FloatStorage"), r"torch\.cuda\.FloatStorage"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_by_what_it_does(attack):
    data, message = ATTACKS[attack]
    with pytest.raises(UnpickleError, match=message):
        load(pickle_of(data))


def test_deeply_nested_values_are_read_or_refused_without_recursion():
    found, _ = load(pickle_of(b")" + b"\x85" * 200_000))
    assert isinstance(found, tuple)


def test_a_tuple_of_itself_twice_over_and_over_costs_nothing():
    doubled = b")" + b"q\x01h\x01\x86" * 5_000
    load(pickle_of(doubled))


def old_dict(pairs):
    """An OrderedDict as Python 2 pickled it, with its items."""
    items = b"](" + b"".join(b"](" + text(key) + integer(value) + b"e" for key, value in pairs) + b"e"
    return name("collections", "OrderedDict") + items + b"\x85R"


def test_a_dict_of_items_as_older_files_have_it():
    pairs = {f"layer.{number}": number for number in range(500)}
    assert load(pickle_of(b"](", *[old_dict(pairs.items())] * 3, b"e"))[0] == [pairs] * 3


@pytest.mark.parametrize("num_names", [1000, 1])
def test_no_dict_is_made_of_the_same_items_over_and_over(num_names):
    """20,000 bytes would ask for 2,000 dicts of 1,000 items."""
    kept = b"](" + b"".join(b"](" + integer(i % num_names) + b"K\0e" for i in range(1000)) + b"eq\x01"
    again = b"h\x02h\x01\x85R"
    data = pickle_of(name("collections", "OrderedDict") + b"q\x02" + kept + b"(" + again * 2000 + b"t")
    with pytest.raises(UnpickleError, match="expected each item of a dict once"):
        load(data)


def test_no_more_is_read_of_a_pickle_than_a_bound():
    """A byte may ask for some seventy: memory is bounded by the bytes that are read."""
    with pytest.raises(UnpickleError, match="expected a pickle of 4,194,304 bytes at most"):
        load(pickle_of(b"X" + struct.pack("<I", MOST_BYTES) + bytes(MOST_BYTES)))
    data = pickle_of(b"}" * 100)
    assert load(b"before" + data, 6, len(data)) == ({}, 6 + len(data))
    with pytest.raises(UnpickleError, match="expected a pickle of 50 bytes at most; it goes on"):
        load(b"before" + data, 6, 50)


@pytest.mark.parametrize("other", [storage("FloatStorage", "0", 9), storage("HalfStorage", "0", 6)])
def test_a_storage_has_one_size_and_one_kind(other):
    first = storage("FloatStorage", "0", 6)
    assert load(pickle_of(tuple_of(first, first)))[0] == (Storage("float32", "0", 6),) * 2
    with pytest.raises(
        UnpickleError, match="one kind and size of storage '0'; found float32 of 6 numbers, and"
    ):
        load(pickle_of(tuple_of(first, other)))


def test_cut_anywhere_it_is_refused():
    data = state_pickle(some_arrays())
    for end in range(len(data)):
        with pytest.raises(UnpickleError):
            load(data[:end])


@given(st.data())
def test_changed_bytes_end_in_a_value_or_a_refusal(drawn):
    data = bytearray(state_pickle(some_arrays()))
    for _ in range(drawn.draw(st.integers(1, 4))):
        data[drawn.draw(st.integers(0, len(data) - 1))] = drawn.draw(st.integers(0, 255))
    with contextlib.suppress(UnpickleError):
        load(bytes(data))


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_value_or_a_refusal(data):
    with contextlib.suppress(UnpickleError):
        load(data)
