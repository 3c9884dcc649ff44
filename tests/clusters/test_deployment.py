"""What runs raytrain on a cluster: cluster.yaml, the image, KubeRay's files, what serves, and the locks."""

import importlib
import importlib.metadata
import re
import shlex
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import raytrain
from raytrain.commands.shared import config_parser
from raytrain.config.load import load_config
from raytrain.errors import ConfigError
from raytrain.serving.settings import read_deployed

ROOT = Path(__file__).parents[2]
CLUSTER = (ROOT / "cluster.yaml").read_text(encoding="utf-8")
KUBERAY = (ROOT / "kuberay.yaml").read_text(encoding="utf-8")
SERVE = (ROOT / "serve.yaml").read_text(encoding="utf-8")
KUBERAY_SERVE = (ROOT / "kuberay-serve.yaml").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


@pytest.fixture
def cluster():
    """cluster.yaml as Ray sees it: with its own defaults where the file says nothing."""
    from ray.autoscaler._private.util import prepare_config

    return prepare_config(yaml.safe_load(CLUSTER))


@pytest.fixture
def ray_job():
    return yaml.safe_load(KUBERAY)["spec"]


@pytest.fixture
def instructions():
    """The Dockerfile's instructions in order: (name, what follows)."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in lines.splitlines() if line.strip()]


@pytest.fixture
def ray_service():
    return yaml.safe_load(KUBERAY_SERVE)["spec"]


def ray_containers(ray_job, cluster="rayClusterSpec"):
    groups = [ray_job[cluster]["headGroupSpec"], *ray_job[cluster]["workerGroupSpecs"]]
    return [group["template"]["spec"]["containers"][0] for group in groups]


def pinned(text):
    return dict(line.split("==") for line in text.split())


def test_cluster_config_is_valid_for_ray(cluster):
    from ray.autoscaler._private.util import validate_config

    validate_config(cluster)


def test_cluster_installs_nothing_on_its_machines(cluster):
    types = cluster["available_node_types"].values()
    commands = [cluster, *types]
    kinds = ("setup_commands", "head_setup_commands", "worker_setup_commands", "initialization_commands")
    assert not [command for place in commands for kind in kinds for command in place.get(kind, [])]


def test_cluster_starts_with_no_worker_and_grows_to_ten_spot_machines(cluster):
    workers = [
        kind for name, kind in cluster["available_node_types"].items() if name != cluster["head_node_type"]
    ]
    assert [(kind["min_workers"], kind["max_workers"]) for kind in workers] == [(0, 10)]
    assert cluster["max_workers"] == 10 and workers[0]["resources"]["GPU"] == 1
    assert workers[0]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}


def test_cluster_keeps_its_dashboard_on_loopback(cluster):
    starts = [command for command in cluster["head_start_ray_commands"] if "ray start" in command]
    assert len(starts) == 1 and "--dashboard-host=127.0.0.1" in starts[0].split()


def test_cluster_brings_the_token_to_where_ray_looks_in_the_image(cluster, instructions):
    home = re.search(r"\bHOME=(\S+)", " ".join(what for name, what in instructions if name == "ENV"))[1]
    assert cluster["file_mounts"] == {f"{home}/.ray/auth_token": "~/.ray/auth_token"}
    assert "--env=RAY_AUTH_MODE=token" in cluster["docker"]["run_options"]


def test_jobs_take_the_storage_that_the_cluster_names(cluster, monkeypatch):
    setting = next(option for option in cluster["docker"]["run_options"] if "RAYTRAIN_STORAGE" in option)
    _, name, value = setting.split("=")
    monkeypatch.setenv(name, value)
    config = load_config(None, ["data.path=train.csv", "storage=${oc.env:RAYTRAIN_STORAGE}"])
    assert config.storage == value and value.startswith("s3://") and CLUSTER.count("s3://") == 1


@pytest.mark.parametrize(
    "text",
    [CLUSTER, KUBERAY, SERVE, KUBERAY_SERVE],
    ids=["cluster.yaml", "kuberay.yaml", "serve.yaml", "kuberay-serve.yaml"],
)
def test_no_token_is_written_down(text):
    assert "RAY_AUTH_TOKEN" not in text and not re.search(r"[0-9a-f]{32}", text)


def test_image_is_the_same_everywhere_and_of_this_version(cluster, ray_job, ray_service):
    containers = ray_containers(ray_job) + ray_containers(ray_service, "rayClusterConfig")
    images = {container["image"] for container in containers} | {cluster["docker"]["image"]}
    built = re.search(r"--tag (\S+)", (ROOT / "Dockerfile").read_text())[1]
    assert images == {built} and built.endswith(f":{raytrain.__version__}")


def test_image_is_made_of_files_that_are_there_and_not_ignored(instructions):
    copied = [source for name, what in instructions if name == "COPY" for source in what.split()[:-1]]
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ignored[0] == "*"
    kept = {path for line in ignored if line.startswith("!") for path in ROOT.glob(line[1:])}
    assert len(copied) > 5
    for source in copied:
        path = ROOT / source
        assert path.exists() and ({path, *path.parents} & kept), source


def test_image_has_what_make_install_reads_before_it_runs(instructions):
    names = [name for name, _ in instructions]
    installs = next(
        i for i, (name, what) in enumerate(instructions) if name == "RUN" and "make install" in what
    )
    copied = {s for name, what in instructions[:installs] if name == "COPY" for s in what.split()[:-1]}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    prerequisites = re.search(r"^\$\(VENV\)/\.installed: (.+)$", makefile, re.MULTILINE)[1].split()
    readme = re.search(r'^readme = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert {"Makefile", readme, *prerequisites} <= copied
    assert {f"requirements-{extra}.lock" for extra in ("gpu", "aws")} <= copied
    assert names.index("USER") > installs


def test_image_has_the_python_of_the_makefile_and_no_root(instructions):
    python = re.search(r"^PYTHON \?= python(.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    assert instructions[0][1].startswith(f"python:{python}-")
    assert [what for name, what in instructions if name == "USER"] == ["ray"]


def test_image_runs_any_command(instructions):
    """`ray up` starts it with `bash`, KubeRay with a shell of its own."""
    assert "ENTRYPOINT" not in [name for name, _ in instructions]


def test_ray_of_kuberay_is_that_of_the_lock(ray_job):
    assert ray_job["rayClusterSpec"]["rayVersion"] == pinned(LOCK)["ray"]


def test_entrypoint_of_kuberay_is_a_job_of_the_image_that_writes_to_a_bucket(ray_job, instructions):
    python, script, *arguments = shlex.split(ray_job["entrypoint"])
    folder = next(what for name, what in instructions if name == "WORKDIR")
    assert (python, script) == ("python", f"{folder}/jobs/kfold.py")
    options = config_parser("", script).parse_args(arguments)
    config = load_config(ROOT / "jobs" / "kfold.yaml", options.overrides)
    assert config.storage == "s3://bucket/runs" and KUBERAY.count("s3://") == 1


def test_kuberay_starts_with_no_worker_and_grows_to_ten_gpus(ray_job):
    assert ray_job["rayClusterSpec"]["enableInTreeAutoscaling"] is True
    (group,) = ray_job["rayClusterSpec"]["workerGroupSpecs"]
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (0, 0, 10)
    assert ray_containers(ray_job)[1]["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_kuberay_gives_its_containers_what_they_ask_for(ray_job):
    for container in ray_containers(ray_job):
        resources = container["resources"]
        assert resources["requests"] == resources["limits"] and {"cpu", "memory"} <= set(resources["limits"])


def test_kuberay_wants_the_token_of_a_secret(ray_job):
    assert ray_job["rayClusterSpec"]["authOptions"] == {"mode": "token", "secretName": "raytrain-token"}


def test_kuberay_takes_the_cluster_down_and_shows_it_to_nobody_outside(ray_job):
    head = ray_job["rayClusterSpec"]["headGroupSpec"]
    assert ray_job["shutdownAfterJobFinishes"] is True
    assert head["serviceType"] == "ClusterIP" and "enableIngress" not in head


def test_parameters_of_ray_start_are_strings_as_kuberay_wants_them(ray_job):
    head = ray_job["rayClusterSpec"]["headGroupSpec"]
    groups = [head, *ray_job["rayClusterSpec"]["workerGroupSpecs"]]
    values = [value for group in groups for value in group["rayStartParams"].values()]
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert all(isinstance(value, str) for value in values)


@pytest.mark.parametrize("where", ["serve.yaml", "kuberay-serve.yaml"])
def test_the_service_is_what_serve_and_raytrain_read(where, ray_service):
    """All but the digest, which is the user's to set: as it stands, it is refused."""
    from ray.serve.schema import ServeDeploySchema

    told = yaml.safe_load(SERVE if where == "serve.yaml" else ray_service["serveConfigV2"])
    [application] = ServeDeploySchema.model_validate(told).applications
    module, _, name = application.import_path.partition(":")
    assert callable(getattr(importlib.import_module(module), name))
    with pytest.raises(ConfigError) as raised:
        read_deployed(application.args)
    assert [problem.split(":")[0] for problem in raised.value.problems] == ["token_sha256"]
    settings = read_deployed(application.args | {"token_sha256": "ab" * 32})
    assert settings.ensembles == {"mine": "s3://bucket/runs/mine/ensemble"}


def test_the_service_listens_on_the_loopback_unless_a_pod_is_round_it(ray_service):
    assert yaml.safe_load(SERVE)["http_options"] == {"host": "127.0.0.1", "port": 8000}
    told = yaml.safe_load(ray_service["serveConfigV2"])
    assert told["http_options"]["host"] == "0.0.0.0"
    assert ray_service["rayClusterConfig"]["headGroupSpec"]["serviceType"] == "ClusterIP"
    ports = [
        {port["name"]: port["containerPort"] for port in container["ports"]}
        for container in ray_containers(ray_service, "rayClusterConfig")
    ]
    assert all(each["serve"] == told["http_options"]["port"] for each in ports)


def test_replicas_of_the_service_have_room_on_its_workers(ray_service):
    cluster, told = ray_service["rayClusterConfig"], yaml.safe_load(ray_service["serveConfigV2"])
    args = told["applications"][0]["args"]
    [group] = cluster["workerGroupSpecs"]
    limits = ray_containers(ray_service, "rayClusterConfig")[1]["resources"]["limits"]
    assert args["replicas"] * args["gpus"] <= group["replicas"] * int(limits["nvidia.com/gpu"])
    assert args["replicas"] * args["cpus"] <= group["replicas"] * int(limits["cpu"])
    assert cluster["rayVersion"] == pinned(LOCK)["ray"]
    assert cluster["authOptions"] == {"mode": "token", "secretName": "raytrain-token"}
    values = [cluster["headGroupSpec"]["rayStartParams"], group["rayStartParams"]]
    assert all(isinstance(value, str) for each in values for value in each.values())


def test_gpu_lock_pins_every_cuda_library_that_tensorflow_wants():
    pins = pinned((ROOT / "requirements-gpu.lock").read_text())
    wanted = [Requirement(line) for line in importlib.metadata.requires("tensorflow")]
    cuda = [each for each in wanted if each.marker and each.marker.evaluate({"extra": "and-cuda"})]
    cuda = [each for each in cuda if "and-cuda" in str(each.marker)]
    assert len(cuda) > 5 and {each.name for each in cuda} <= set(pins)
    assert all(each.specifier.contains(pins[each.name]) for each in cuda)
    assert not set(pins) & set(pinned(LOCK))
