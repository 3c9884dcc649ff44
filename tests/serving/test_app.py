import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_in_backend import TOKEN, StandIn, build_service
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient

from raytrain.serving.access import digest_of
from raytrain.serving.app import PAGE
from raytrain.serving.questions import Limits
from raytrain.serving.refusals import too_busy

ASK = {"Authorization": f"Bearer {TOKEN}"}


def client_of(service):
    return TestClient(service.build_app(), base_url="http://127.0.0.1:8000", raise_server_exceptions=False)


@pytest.fixture
def backend():
    return StandIn()


@pytest.fixture
def client(backend):
    limits = Limits(texts=4, characters=12, queued=8)
    client = client_of(build_service(digest_of(TOKEN), limits, backend))
    client.headers.update(ASK)
    return client


def test_texts_get_labels_and_probabilities_in_order(client):
    answer = client.post("/predict", json={"ensemble": "posts", "texts": ["短", "这一条是很长的"]})
    assert answer.status_code == 200
    assert answer.json() == {
        "ensemble": "posts",
        "version": "v1",
        "task": "classify",
        "labels": ["真", "假"],
        "predictions": [
            {"label": "真", "probabilities": {"真": 0.9, "假": 0.1}},
            {"label": "假", "probabilities": {"真": pytest.approx(0.3), "假": 0.7}},
        ],
    }


def test_one_text_is_a_list_of_one_and_no_text_of_none(client):
    assert len(client.post("/predict", json={"ensemble": "posts", "text": "短"}).json()["predictions"]) == 1
    assert client.post("/predict", json={"ensemble": "posts", "texts": []}).json()["predictions"] == []


def test_a_tagger_gives_spans(client):
    answer = client.post("/predict", json={"ensemble": "names", "texts": ["在北京", "好"]}).json()
    assert [[span["text"] for span in one["spans"]] for one in answer["predictions"]] == [["北京"], []]


def test_pairs_come_with_their_texts(client, backend):
    asked = {"ensemble": "pairs", "texts": ["甲", "乙"], "pairs": ["一", "二"]}
    assert client.post("/predict", json=asked).status_code == 200
    assert client.post("/predict", json={"ensemble": "pairs", "text": "甲", "pair": "一"}).status_code == 200
    assert backend.asked == [("pairs", ["甲", "乙"], ["一", "二"]), ("pairs", ["甲"], ["一"])]


def test_labels_that_are_numbers_stay_numbers():
    backend = StandIn(labels=(0, 1))
    answer = client_of(build_service(None, backend=backend)).post(
        "/predict", json={"ensemble": "posts", "text": "短"}
    )
    assert answer.json()["predictions"][0] == {"label": 0, "probabilities": {"0": 0.9, "1": 0.1}}


WRONG = [
    ({"ensemble": "posts"}, 422, "either text or texts"),
    ({"ensemble": "posts", "text": "a", "texts": ["a"]}, 422, "found both"),
    ({"ensemble": "posts", "texts": "abc"}, 422, "texts"),
    ({"ensemble": "posts", "texts": [1]}, 422, "texts.0"),
    ({"ensemble": "posts", "texts": [None]}, 422, "texts.0"),
    ({"ensemble": "posts", "texts": [1] * 1000}, 413, "at most 4 texts, found 1,000"),
    ({"ensemble": "posts", "texts": ["a"], "pairs": [1] * 9}, 413, "at most 4 pairs, found 9"),
    ({str(key): 1 for key in range(9)}, 422, "more keys"),
    ({"ensemble": "posts", "text": "a", "more": 1}, 422, "more"),
    ({"ensemble": "posts", "text": "\ud800"}, 422, "surrogate"),
    ([], 422, "object"),
    (None, 422, "object"),
    ({"text": "a"}, 422, "posts, names, pairs"),
    ({"ensemble": "others", "text": "a"}, 404, "found others"),
    ({"ensemble": "posts", "texts": ["a"] * 5}, 413, "at most 4 texts, found 5"),
    ({"ensemble": "posts", "text": "a" * 13}, 413, "at most 12 characters"),
    ({"ensemble": "pairs", "text": "a"}, 422, "pairs"),
    ({"ensemble": "pairs", "texts": ["a", "b"], "pairs": ["c"]}, 422, "expected 2 pairs"),
    ({"ensemble": "pairs", "texts": ["a"], "pair": "c"}, 422, "crossed"),
    ({"ensemble": "pairs", "text": "a", "pair": "c" * 13}, 413, "characters"),
]


@pytest.mark.parametrize(("body", "status", "said"), WRONG)
def test_what_cannot_be_answered_is_told(client, backend, body, status, said):
    content = json.dumps(body).encode()
    answer = client.post("/predict", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert answer.json()["error"].startswith("expected ") and said in answer.json()["error"]
    assert backend.asked == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 50_000, b'{"text": "a"} x'])
def test_a_body_that_is_no_json_is_400(client, content):
    answer = client.post("/predict", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


@given(st.binary(max_size=200))
def test_no_body_makes_it_fail(body):
    client = client_of(build_service())
    answer = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 404, 422)


def test_a_form_is_no_json(client):
    answer = client.post("/predict", data={"text": "a"})
    assert answer.status_code == 422 and "application/json" in answer.json()["error"]


def test_a_large_body_is_not_read(client):
    def parts():
        for _ in range(100):
            yield b" " * 10_000
        raise AssertionError("it was read to its end")

    sent = {"Content-Type": "application/json"}
    assert client.post("/predict", content=b" " * 200_000, headers=sent).status_code == 413
    small = client_of(build_service(None, Limits(texts=1, characters=1)))
    answer = small.post("/predict", content=b" " * 70_000, headers=sent | {"Content-Length": "10"})
    assert answer.status_code in (400, 413)


@pytest.mark.parametrize("path", ["/predict", "/words", "/ensembles", "/metrics"])
@pytest.mark.parametrize(
    "sent",
    [{}, {"Authorization": "Bearer other"}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": ""}],
)
def test_without_the_token_nothing_is_answered(backend, path, sent):
    client = client_of(build_service(digest_of(TOKEN), backend=backend))
    method = "POST" if path in ("/predict", "/words") else "GET"
    answer = client.request(method, path, json={"ensemble": "posts", "text": "a"}, headers=sent)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer" and TOKEN not in answer.text
    assert backend.asked == []


def test_health_and_the_page_ask_for_no_token():
    client = client_of(build_service(digest_of(TOKEN)))
    assert client.get("/health").json() == {"status": "ok", "token": True}
    for path in PAGE:
        answer = client.get(path)
        assert answer.status_code == 200 and "default-src 'none'" in answer.headers["content-security-policy"]


def test_without_a_token_only_own_names_are_answered():
    client = client_of(build_service(None))
    asked = {"ensemble": "posts", "text": "a"}
    for host, status in (("localhost:8000", 200), ("[::1]:8000", 200), ("evil.example:8000", 400), ("", 400)):
        assert client.post("/predict", json=asked, headers={"Host": host}).status_code == status


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/no", 404), ("GET", "/predict", 405)])
def test_a_path_that_is_not_there_is_told_as_json(client, method, path, status):
    answer = client.request(method, path)
    assert answer.status_code == status and f"found {method} {path}" in answer.json()["error"]


def test_a_full_queue_says_when_to_come_again(client, backend):
    async def full():
        raise too_busy()

    backend.before = full
    answer = client.post("/predict", json={"ensemble": "posts", "text": "a"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


def test_an_unforeseen_error_is_json_too_and_counted(client, backend):
    async def broken():
        raise ValueError("a secret of the inside")

    backend.before = broken
    answer = client.post("/predict", json={"ensemble": "posts", "text": "a"})
    assert answer.status_code == 500 and "secret" not in answer.text and "error" in answer.json()
    assert 'raytrain_errors_total{path="/predict"} 1.0' in client.get("/metrics").text


def test_what_was_asked_is_counted(client):
    client.post("/predict", json={"ensemble": "posts", "texts": ["a", "b"]})
    client.post("/predict", json={"ensemble": "posts", "texts": ["a"] * 5})
    client.get("/ensembles", headers={"Authorization": "Bearer other"})
    told = client.get("/metrics").text
    for line in (
        'raytrain_requests_total{path="/predict",status="200"} 1.0',
        'raytrain_requests_total{path="/predict",status="413"} 1.0',
        'raytrain_refused_total{reason="size"} 1.0',
        'raytrain_refused_total{reason="token"} 1.0',
        'raytrain_latency_seconds_count{path="/predict"} 2.0',
        'raytrain_texts_total{ensemble="posts"} 2.0',
        "raytrain_in_flight 1.0",
    ):
        assert line in told, line


def test_ensembles_and_limits_are_listed(client):
    told = client.get("/ensembles").json()
    assert told["limits"] == {"texts": 4, "characters": 12}
    first = {"name": "posts", "task": "classify", "labels": ["真", "假"], "pairs": False}
    assert told["ensembles"][0] == first | {"version": "v1", "problem": None}


def test_words_are_weighed(client):
    told = client.post("/words", json={"ensemble": "posts", "text": "停水"}).json()
    assert told["parts"] == [[["停", -0.2], ["水", 0.1]]] and told["ensemble"] == "posts"
    assert client.post("/words", json={"ensemble": "posts"}).status_code == 422


def test_the_document_names_every_path_and_resolves(client):
    document = client.get("/openapi.json").json()
    assert {"/predict", "/words", "/ensembles", "/health", "/metrics"} == set(document["paths"])
    schemas = document["components"]["schemas"]
    named = json.dumps(document["paths"]).split("#/components/schemas/")[1:]
    assert {one.split('"')[0] for one in named} <= set(schemas)
    assert document["security"] == [{"token": []}]


def test_requests_beyond_the_queue_are_refused_and_those_in_it_answered():
    import httpx2

    async def run():
        free = asyncio.Event()
        backend = StandIn()
        backend.before = free.wait
        service = build_service(None, Limits(queued=3), backend)
        transport = httpx2.ASGITransport(service.build_app())
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            body = {"ensemble": "posts", "text": "a"}
            asked = [asyncio.create_task(client.post("/predict", json=body)) for _ in range(5)]
            while sum(task.done() for task in asked) < 2:
                await asyncio.sleep(0.01)
            draining = asyncio.create_task(service.drain(30))
            await asyncio.sleep(0.01)
            late = await client.post("/predict", json=body)
            health = await client.get("/health")
            free.set()
            statuses = sorted([(await task).status_code for task in asked])
            return statuses, late.status_code, health.status_code, await draining

    assert asyncio.run(run()) == ([200, 200, 200, 429, 429], 503, 503, 0)


@pytest.mark.parametrize("gone", [asyncio.CancelledError, ClientDisconnect])
def test_a_client_that_goes_away_is_no_error_of_the_service(backend, gone):
    service = build_service(None, backend=backend)

    async def leave(request):
        raise gone

    with pytest.raises(gone):
        asyncio.run(service._watched("/predict", leave, False)(None))
    page = service.metrics.page().decode()
    assert 'raytrain_requests_total{path="/predict",status="499"} 1.0' in page
    assert service.in_flight == 0 and "raytrain_errors_total{" not in page
