from fake_run import write_run
from tiny_run import silent_stages

from raytrain.config.load import load_config
from raytrain.report.facts import read_facts
from raytrain.report.origins import changed_keys, config_section, cost_section, provenance_section
from raytrain.storage.directory import Directory


def read(run):
    return read_facts(Directory(run), silent_stages())


def test_keys_are_held_against_the_defaults_of_the_task():
    assert changed_keys(load_config(data__path="a.csv", seed=7)) == {"data.path": "a.csv", "seed": 7}
    tagger = load_config(data__path="a.bio", task="tag")
    assert changed_keys(tagger) == {"task": "tag", "data.path": "a.bio"}


def test_the_rest_of_the_config_is_folded_up(tmp_path):
    told = config_section(read(write_run(tmp_path, train__batch_size=7)))
    first, rest = told.split("<details>")
    assert "train.batch_size" in first and "train.epochs" not in first
    assert "train.epochs" in rest and "train.batch_size" not in rest


def test_what_folds_took_is_told(tmp_path):
    told = cost_section(read(write_run(tmp_path)))
    assert "a processor" in told and ">8 s<" in told and "took 1:15" in told


def test_folds_on_several_devices(tmp_path):
    facts = read(write_run(tmp_path))
    facts.records[0]["device"], facts.records[0]["restarts"] = "<another>", 2
    told = cost_section(facts)
    assert "a processor (2), &lt;another&gt; (1)" in told and "<td>2</td>" in told


def test_packages_and_hashes_are_told(tmp_path):
    facts = read(write_run(tmp_path))
    told = provenance_section(facts)
    assert "raytrain 0.1.0" in told and facts.corpus["sha256"] in told and "2026-01-01T00:00:00" in told


def test_whence_an_encoder_was_fetched_is_told(tmp_path):
    facts = read(write_run(tmp_path))
    assert "encoder's" not in provenance_section(facts)
    facts.manifest["encoder"] = {"origin": {"source": "https://hub/org/<name>", "revision": "a" * 40}}
    told = provenance_section(facts)
    assert "https://hub/org/&lt;name&gt;" in told and "a" * 40 in told
