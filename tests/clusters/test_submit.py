"""Jobs on a running cluster, as docs/cluster.md says: by `ray job submit`, and by RAY_ADDRESS."""

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import ray
import yaml
from folds_here import trained_here
from ray_head import RAY, ROOT, free_ports, start_head
from tiny_run import make_rows, silent_console, tiny_config, tiny_overrides, write_csv
from waiting import wait_until

from raytrain.crossval.driver import train_run
from raytrain.serving.access import digest_of

pytestmark = [pytest.mark.slow, pytest.mark.long]

STORAGE = "storage=${oc.env:RAYTRAIN_STORAGE}"


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """A head of two CPUs."""
    with start_head(tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("storage")) as head:
        yield head


def overrides(directory: Path, **more: object) -> list[str]:
    return [item for item in tiny_overrides(directory, **more) if not item.startswith("storage=")] + [STORAGE]


def test_submitted_job_trains_and_says_where_the_ensemble_lies(head, tmp_path):
    done = head.submit("python", "jobs/kfold.py", *overrides(tmp_path, name="submitted"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "r0-fold-01" in done.stdout and "macro-F1" in done.stdout
    assert f"ensemble: {head.storage}/submitted/ensemble" in done.stdout
    assert (head.storage / "submitted" / "ensemble" / "manifest.json").exists()


def test_submission_with_a_bad_key_fails_and_says_which(head):
    done = head.submit("python", "jobs/kfold.py", "data.path=train.csv", "data.pth=x", "storage=/tmp")
    assert done.returncode == 1
    assert "data.pth: unknown key; did you mean data.path?" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("environment", "answer"),
    [({"RAY_AUTH_MODE": "disabled"}, "Unauthorized"), ({"RAY_AUTH_TOKEN": "a" * 64}, "Forbidden")],
)
def test_submission_without_the_token_is_refused(head, environment, answer):
    done = head.job("submit", "--submission-id", answer, "--", "echo", "let in", **environment)
    assert done.returncode != 0 and answer in done.stderr
    listed = head.job("list")
    assert listed.returncode == 0 and answer not in listed.stdout


def test_plain_script_without_the_token_is_told_so(head, tmp_path):
    done = head.script(*tiny_overrides(tmp_path), HOME=str(tmp_path))
    assert done.returncode == 2, done.stderr
    assert "the token in ~/.ray/auth_token" in done.stderr and "Traceback" not in done.stderr


WORKER_VIEW = """
@ray.remote
def look():
    import os, sys
    import raytrain.network.layers
    package = os.path.dirname(os.path.dirname(raytrain.__file__))
    return package, sorted(os.listdir(package)), sys.modules["tensorflow"].keras.Model.__module__
print(json.dumps(ray.get(look.remote())))
"""


def test_workers_of_a_submitted_job_run_the_uploaded_package_on_tf_keras(head):
    done = head.submit("python", "-c", "import json, ray\n" + WORKER_VIEW)
    assert done.returncode == 0, done.stdout
    answer = next(line for line in done.stdout.splitlines() if line.startswith("["))
    package, files, keras = json.loads(answer)
    assert "working_dir_files" in package and keras.startswith("tf_keras")
    assert {"raytrain", "jobs"} <= set(files) and not {".git", ".venv", "runs"} & set(files)


def test_workers_of_a_plain_script_run_its_package_on_tf_keras(head):
    package, files, keras = head.ask(WORKER_VIEW)
    assert "py_modules_files" in package and files == ["raytrain"] and keras.startswith("tf_keras")


LEFT_BEHIND = """
from ray.util import placement_group_table
groups = [group for group in placement_group_table().values() if group["state"] != "REMOVED"]
total, free = ray.cluster_resources(), ray.available_resources()
print(json.dumps([len(groups), total["CPU"] - free.get("CPU", 0)]))
"""


NUM_ACTORS = """
from ray.util.state import list_actors
print(json.dumps(len(list_actors(limit=1000))))
"""


def test_stopped_job_leaves_nothing_behind_and_a_plain_script_goes_on(head, tmp_path):
    # Folds enough that some are left when the client, which takes seconds to start, has stopped the job.
    options = {"folds__num_folds": 4, "train__epochs": 20, "cluster__max_concurrent_folds": 1}
    hurt = overrides(tmp_path, name="hurt", **options)
    started = head.job(
        *("submit", "--working-dir", ".", "--no-wait", "--submission-id", "hurt"),
        *("--", "python", "jobs/kfold.py", *hurt),
    )
    assert started.returncode == 0, started.stdout
    run = head.storage / "hurt"
    wait_until(lambda: list(run.glob("folds/*/*/result/result.json")))
    wait_until(lambda: any("RayTrainWorker" in line for line in head.job_processes()))

    stopped = head.job("stop", "hurt")
    assert stopped.returncode == 0, stopped.stdout
    assert "was stopped" in head.job("status", "hurt").stdout
    wait_until(lambda: not head.job_processes())
    wait_until(lambda: head.ask(LEFT_BEHIND) == [0, 0])
    assert not (run / "ensemble" / "manifest.json").exists()

    done = head.script(*hurt, RAYTRAIN_STORAGE=str(head.storage))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kept" in done.stdout and f"ensemble: {run}/ensemble" in done.stdout


def test_files_are_predicted_by_the_workers_of_the_cluster(head, tmp_path):
    with trained_here():
        train_run(tiny_config(tmp_path, model__architecture="tfidf", train__epochs=1), silent_console())
    ray.shutdown()  # the run's own
    inputs, ensemble = tmp_path / "in", tmp_path / "runs" / "tiny" / "ensemble"
    inputs.mkdir()
    write_csv(inputs / "one.csv", make_rows(9, seed=3))
    asked = ["jobs/predict.py", "--ensemble", str(ensemble), "--input"]
    before = head.ask(NUM_ACTORS)
    done = head.run(
        *(
            sys.executable,
            *asked,
            str(inputs),
            "--output",
            str(tmp_path / "out"),
            "--cluster",
            "--format",
            "csv",
        ),
        RAY_ADDRESS=head.address,
        PYTHONPATH=str(ROOT),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert head.ask(NUM_ACTORS) > before
    plain = head.run(sys.executable, *asked, str(inputs / "one.csv"), "--output", str(tmp_path / "plain.csv"))
    assert plain.returncode == 0, plain.stderr
    assert (tmp_path / "out" / "one.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()


def test_a_service_is_deployed_by_its_file_and_again_without_a_lost_request(head, tmp_path):
    """serve.yaml as it stands, but for the ensemble, the token and the port."""
    with trained_here():
        train_run(tiny_config(tmp_path), silent_console())
    ray.shutdown()  # the run's own
    told, [port] = yaml.safe_load((ROOT / "serve.yaml").read_text(encoding="utf-8")), free_ports(1)
    told["http_options"]["port"] = int(port)
    args = told["applications"][0]["args"]
    args |= {"ensembles": {"tiny": str(tmp_path / "runs" / "tiny" / "ensemble")}, "cpus": 0.5}

    def deploy(**more):
        args.update(more)
        path = tmp_path / "serve.yaml"
        path.write_text(yaml.safe_dump(told), encoding="utf-8")
        command = [str(Path(RAY).with_name("serve")), "deploy", "--address", head.job_server, str(path)]
        done = head.run(*command, RAY_DASHBOARD_ADDRESS=head.job_server)
        assert done.returncode == 0, done.stdout + done.stderr

    def ask(token):
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        body = json.dumps({"text": "明天停水"}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", body, headers)
        try:
            return urllib.request.urlopen(request, timeout=60).status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    deploy(token_sha256=digest_of("first").hex())
    wait_until(lambda: ask("first") == 200, 120)
    assert ask("second") == 401
    deploy(token_sha256=digest_of("second").hex())
    statuses = []  # another token: the ingress is exchanged under these questions
    wait_until(lambda: statuses.append(ask("second")) or statuses[-1] == 200, 120)
    assert {*statuses[:-1]} <= {401}
    assert ask("first") == 401


def test_folds_wait_for_the_machines_of_an_autoscaler(tmp_path):
    """The head has no CPU; of what may be added it knows by the config."""
    (tmp_path / "home").mkdir()
    with start_head(tmp_path / "home", tmp_path, num_cpus=0, machine={"CPU": 1}) as head:
        options = tiny_overrides(tmp_path, train__epochs=1)
        done = head.script(*options, "cluster.autoscaler={nodes: 2, cpus: 1}")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "an autoscaler may add 2 CPU and 0 GPU on 2 nodes" in done.stdout
        assert (tmp_path / "runs" / "tiny" / "ensemble" / "manifest.json").exists()
