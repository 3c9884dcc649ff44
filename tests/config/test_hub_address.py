import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.config.hub_address import HubAddress, find_hub_address, is_hub_address, parse_hub_address
from raytrain.config.load import load_config
from raytrain.errors import ConfigError

PARTS = st.from_regex(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,20}[A-Za-z0-9_])?", fullmatch=True).filter(
    lambda part: "--" not in part and ".." not in part
)
REVISIONS = st.one_of(
    st.just("main"),
    st.from_regex(r"[0-9a-f]{40}", fullmatch=True),
    st.from_regex(r"[a-z0-9][a-z0-9-]{0,9}(/[a-z0-9-]{1,9}){0,2}", fullmatch=True),
)
ADDRESSES = st.builds(HubAddress, PARTS, PARTS, REVISIONS)


@given(ADDRESSES)
def test_an_address_is_read_as_it_is_written(address):
    assert is_hub_address(str(address)) and parse_hub_address(str(address)) == address
    assert "/" not in address.key and ".." not in address.key


@given(ADDRESSES, ADDRESSES)
def test_no_two_addresses_share_a_key(one, other):
    assert (one == other) == (one.key == other.key)


def test_main_goes_without_saying():
    assert str(parse_hub_address("hf:hfl/rbt3@main")) == "hf:hfl/rbt3"
    assert parse_hub_address("hf:hfl/rbt3").repository == "hfl/rbt3"


@pytest.mark.parametrize(("revision", "is_commit"), [("a" * 40, True), ("A" * 40, False), ("main", False)])
def test_a_commit_is_known_by_its_form(revision, is_commit):
    assert HubAddress("hfl", "rbt3", revision).is_commit is is_commit


@pytest.mark.parametrize(
    "location",
    [
        *("hf:", "hf:bert", "hf:a/b/c", "hf:a/b@", "hf:/b", "hf:a/", "hf:a/b@a b", "hf://a/b", "hf:a /b"),
        *(
            "hf:../b",
            "hf:a/..",
            "hf:a/b--c",
            "hf:a/.b",
            "hf:a/b@../x",
            "hf:a/b@x//y",
            "hf:a/b@-x",
            "hf:a/b@x@y",
        ),
        *(
            "hf:a/b@x@y",
            "hf:a/b\n",
            "hf:a/" + "b" * 97,
            "hf:datasets/a/b",
            "hf:ä/b",
            "hf:a/b@x/",
            "hf:a/b@x.lock",
        ),
    ],
)
def test_what_is_no_address_is_told_before_anything_starts(location):
    with pytest.raises(ValueError, match=r"expected hf:ORGANISATION/NAME"):
        parse_hub_address(location)
    with pytest.raises(ConfigError) as caught:
        load_config(data__path="a.csv", encoder__checkpoint=location)
    assert "encoder.checkpoint: expected hf:ORGANISATION/NAME" in str(caught.value)


@pytest.mark.parametrize(("location", "is_short"), [("hf:bert-base-chinese", True), ("hf:a/b/c", False)])
def test_a_short_name_is_told_to_stand_without_the_prefix(location, is_short):
    with pytest.raises(ValueError, match="expected hf:ORGANISATION/NAME") as caught:
        parse_hub_address(location)
    assert ("list --hub` shows stand without hf:" in str(caught.value)) is is_short


def test_a_dataset_is_told_to_be_none():
    with pytest.raises(ValueError, match="datasets hold no encoders"):
        parse_hub_address("hf:datasets/a/b")


@pytest.mark.parametrize(("location", "found"), [("hfl/rbt3", "hf:hfl/rbt3"), ("rbt3", None), ("/a/b", None)])
def test_what_lacks_its_prefix_is_found(location, found):
    address = find_hub_address(location)
    assert (address and str(address)) == found
