"""Where the caches lie."""

import pytest

from raytrain.errors import InputError
from raytrain.home import home_directory


@pytest.mark.parametrize("home", ["{tmp}/own", "~/own"])
def test_the_caches_lie_where_raytrain_home_says(tmp_path, monkeypatch, home):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("RAYTRAIN_HOME", home.format(tmp=tmp_path))
    assert home_directory() == tmp_path / "own"


def test_a_relative_raytrain_home_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYTRAIN_HOME", "own")
    assert home_directory() == tmp_path / "own"


@pytest.mark.parametrize("unset", ["", None])
def test_else_in_the_users_cache(tmp_path, monkeypatch, unset):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    for name, expected in (("RAYTRAIN_HOME", "xdg"), ("XDG_CACHE_HOME", ".cache")):
        if unset is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, unset)
        assert home_directory() == tmp_path / expected / "raytrain"


def test_a_relative_cache_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAYTRAIN_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "xdg")
    assert home_directory() == tmp_path / "xdg" / "raytrain"


@pytest.fixture
def homeless(monkeypatch):
    """A user without HOME and without an entry in passwd, as in a container."""

    def unknown(uid):
        raise KeyError(uid)

    for name in ("HOME", "RAYTRAIN_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)


@pytest.mark.parametrize(("name", "expected"), [("RAYTRAIN_HOME", "own"), ("XDG_CACHE_HOME", "own/raytrain")])
def test_a_place_that_is_named_needs_no_home(tmp_path, monkeypatch, homeless, name, expected):
    monkeypatch.setenv(name, str(tmp_path / "own"))
    assert home_directory() == tmp_path / expected


@pytest.mark.parametrize("own", [None, "~/own"])
def test_without_any_place_it_is_said_what_to_set(monkeypatch, homeless, own):
    if own:
        monkeypatch.setenv("RAYTRAIN_HOME", own)
    with pytest.raises(InputError, match="set RAYTRAIN_HOME"):
        home_directory()
