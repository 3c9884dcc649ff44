"""How Ray would be asked and what is made of its answers, without starting it."""

import os
import signal
import sys
from pathlib import Path
from unittest import mock

import pytest
import ray

import raytrain
from raytrain.cluster import STARTS, check_storage, connect, get_result, on_node, quicken_controllers
from raytrain.errors import ClusterError, CorpusError

IN_A_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
PACE = "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"
WATCHER = "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"


@pytest.fixture(autouse=True)
def environment():
    """Without a word about Ray, and given back afterwards."""
    with mock.patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith("RAY_")]:
            del os.environ[name]
        yield os.environ


@pytest.fixture
def asked(monkeypatch):
    """What `ray.init` was called with, call by call."""
    calls = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: calls.append(options))
    return calls


def test_without_an_address_ray_starts_here_and_is_seen_from_here_alone(asked, environment):
    connect(None)
    [options] = asked
    assert (options["address"], options["dashboard_host"]) == ("local", "127.0.0.1")
    assert "runtime_env" not in options
    assert environment["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.mark.parametrize("given", [None, "192.0.2.1:6379"])
def test_ray_prints_no_errors_of_results_that_nobody_asks_for(asked, environment, given):
    """Of a task with two results whose first has told the error."""
    connect(given)
    assert environment["RAY_IGNORE_UNHANDLED_ERRORS"] == "1"


def test_a_users_word_on_usage_statistics_is_kept(asked, environment):
    environment["RAY_USAGE_STATS_ENABLED"] = "1"
    connect(None)
    assert environment["RAY_USAGE_STATS_ENABLED"] == "1"


@pytest.mark.parametrize(
    ("given", "variable", "expected"),
    [
        ("10.0.0.1:6379", None, "10.0.0.1:6379"),
        ("10.0.0.1:6379", "auto", "10.0.0.1:6379"),
        (None, "auto", "auto"),
        ("", "", "local"),
        ("local", "auto", "local"),
    ],
)
def test_the_address_given_comes_before_the_environments(asked, environment, given, variable, expected):
    if variable is not None:
        environment["RAY_ADDRESS"] = variable
    connect(given)
    assert asked[0]["address"] == expected


@pytest.fixture
def terminated():
    """A handler of SIGTERM that interrupts, as the commands' does."""

    def interrupt(signum, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    yield interrupt
    signal.signal(signal.SIGTERM, before)


def test_who_handled_sigterm_handles_it_again(asked, monkeypatch, terminated):
    monkeypatch.setattr(ray, "init", lambda **_: signal.signal(signal.SIGTERM, lambda *_: sys.exit(15)))
    connect(None)
    assert signal.getsignal(signal.SIGTERM) is terminated


def test_sigterm_while_ray_starts_is_no_exit_of_ray_s(asked, monkeypatch, terminated):
    monkeypatch.setattr(ray, "init", lambda **_: sys.exit(15))
    with pytest.raises(KeyboardInterrupt):
        connect(None)
    assert signal.getsignal(signal.SIGTERM) is terminated


def test_where_nobody_handled_sigterm_ray_does(asked, monkeypatch):
    def exit(signum, frame):
        sys.exit(15)

    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        monkeypatch.setattr(ray, "init", lambda **_: signal.signal(signal.SIGTERM, exit))
        connect(None)
        assert signal.getsignal(signal.SIGTERM) is exit
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_plain_script_ships_the_package_to_the_cluster_and_a_job_does_not(asked, environment):
    connect("auto")
    environment[IN_A_JOB] = "{}"
    connect("auto")
    [package] = asked[0]["runtime_env"]["py_modules"]
    assert Path(package) == Path(raytrain.__file__).parent
    assert "runtime_env" not in asked[1]
    assert all("dashboard_host" not in options for options in asked)


def test_a_connection_that_is_there_is_used(asked, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    connect("10.0.0.1:6379")
    assert asked == []


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("nobody"),
        RuntimeError("another version"),
        ValueError("no port"),
        ray.exceptions.AuthenticationError("another token"),
    ],
)
def test_a_cluster_that_does_not_answer_is_told_with_its_address(asked, monkeypatch, error):
    def refuse(**options):
        raise error

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(ClusterError, match=r"cannot connect to Ray at 10\.0\.0\.1:6379") as caught:
        connect("10.0.0.1:6379")
    assert str(error) in caught.value.summary
    assert "RAY_ADDRESS" in caught.value.problems[0] and "token" in caught.value.problems[1]


def test_a_task_for_one_machine_runs_nowhere_else():
    strategy = on_node("ab" * 28)
    assert (strategy.node_id, strategy.soft) == ("ab" * 28, False)


def answering(monkeypatch, error):
    def get(reference):
        raise error

    monkeypatch.setattr(ray, "get", get)


def test_an_error_of_ours_comes_back_as_itself(monkeypatch):
    cause = CorpusError("a.csv: cannot be used", ["row 2"])
    answering(monkeypatch, ray.exceptions.RayTaskError("read", "Traceback …", cause))
    with pytest.raises(CorpusError) as caught:
        get_result(None)
    assert caught.value is cause and caught.value.__suppress_context__


def test_another_error_keeps_its_remote_traceback(monkeypatch):
    error = ray.exceptions.RayTaskError("read", "Traceback …\nValueError: x", ValueError("x"))
    answering(monkeypatch, error)
    with pytest.raises(ray.exceptions.RayTaskError) as caught:
        get_result(None)
    assert caught.value is error


@pytest.mark.parametrize("storage", ["/data/runs", "s3://bucket/runs", "file:///runs"])
def test_a_storage_that_all_nodes_may_reach_is_taken_in_a_job(environment, storage):
    environment[IN_A_JOB] = "{}"
    check_storage(storage)


@pytest.mark.parametrize("storage", ["runs", "./runs", "../runs", "~/runs", ""])
def test_a_relative_storage_is_refused_in_a_job_alone(environment, storage):
    check_storage(storage)
    environment[IN_A_JOB] = "{}"
    with pytest.raises(ClusterError, match=f"storage={storage}: .*temporary") as caught:
        check_storage(storage)
    assert "s3://bucket/runs" in caught.value.problems[0]


def test_controllers_look_often_and_leave_the_log_alone(environment):
    quicken_controllers(one_machine=False)
    assert float(environment[PACE]) < 1
    assert environment["RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING"] == "0"
    assert WATCHER not in environment


def test_only_a_cluster_of_one_machine_does_without_warnings_of_its_end(environment):
    quicken_controllers(one_machine=True)
    assert environment[WATCHER] == "0"


def test_a_users_own_pace_is_kept(environment):
    own = {PACE: "7", WATCHER: "1", "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "9"}
    environment.update(own)
    quicken_controllers(one_machine=True)
    assert {name: environment[name] for name in own} == own


@pytest.fixture
def failing(monkeypatch):
    """Lets so many starts of Ray fail; counts starts, and what is cleared up after them."""
    counts = {"starts": 0, "cleared": 0}

    def fail(times, error):
        def init(**_):
            counts["starts"] += 1
            if counts["starts"] <= times:
                raise error

        monkeypatch.setattr(ray, "is_initialized", lambda: False)
        monkeypatch.setattr(ray, "init", init)
        monkeypatch.setattr(ray, "shutdown", lambda: counts.update(cleared=counts["cleared"] + 1))
        monkeypatch.setattr("raytrain.cluster.PAUSE_SECONDS", 0.0)
        return counts

    return fail


BUSY = "Failed to register worker to Raylet: IOError"


@pytest.mark.parametrize("error", [RuntimeError(BUSY), OSError(BUSY), TimeoutError(), SystemExit(1)])
@pytest.mark.parametrize("times", [1, STARTS - 1])
def test_ray_that_does_not_start_here_is_started_again(failing, times, error):
    counts = failing(times, error)
    connect(None)
    assert counts == {"starts": times + 1, "cleared": times}


@pytest.mark.parametrize("error", [RuntimeError(BUSY), SystemExit(1)])
def test_ray_that_never_starts_here_is_told_in_words(failing, error):
    counts = failing(99, error)
    with pytest.raises(ClusterError, match=f"did not start on this machine at {STARTS} attempts") as caught:
        connect(None)
    assert counts == {"starts": STARTS, "cleared": STARTS}
    assert "busy" in str(caught.value) and "/logs" in str(caught.value)
    assert isinstance(error, SystemExit) or BUSY in str(caught.value)


def test_a_start_that_is_told_to_end_is_not_begun_again(failing):
    counts = failing(99, SystemExit(signal.SIGTERM))
    told, before = [], signal.signal(signal.SIGTERM, lambda *_: told.append("end"))
    try:
        with pytest.raises(SystemExit):
            connect(None)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert counts["starts"] == 1 and told == ["end"]


def test_a_cluster_that_does_not_answer_is_asked_once(failing):
    counts = failing(99, ConnectionError("nobody there"))
    with pytest.raises(ClusterError, match="cannot connect to Ray at"):
        connect("10.0.0.1:6379")
    assert counts["starts"] == 1


def test_an_interruption_while_ray_starts_is_no_failed_start(failing):
    counts = failing(99, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        connect(None)
    assert counts["starts"] == 1
