from importlib import metadata

from raytrain.provenance import package_versions, processor_name


def test_package_versions_are_those_installed():
    versions = package_versions()
    assert versions["jieba"] == metadata.version("jieba")
    assert {"python", "raytrain", "ray", "tensorflow", "scikit-learn"} <= versions.keys()


def test_package_that_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr("raytrain.provenance.PACKAGES", ("jieba", "no-such-package"))
    assert package_versions().keys() == {"python", "jieba"}


def test_the_processor_is_the_first_that_linux_names(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Fast CPU @ 3 GHz\nmodel name\t: Other\n")
    assert processor_name(cpuinfo) == "Fast CPU @ 3 GHz"


def test_a_machine_that_tells_nothing_has_a_name_all_the_same(tmp_path):
    assert processor_name(tmp_path / "absent")
