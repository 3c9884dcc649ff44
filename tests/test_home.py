"""Where the caches lie."""

import pytest

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
