"""What /openapi.json says: every path, what it takes, and what it answers."""

from typing import Any

import raytrain
from raytrain.serving.questions import PredictBody, WordsBody

_ERRORS = {
    "400": "the body is not JSON",
    "401": "the token is missing or another",
    "404": "no ensemble has that name",
    "413": "the body, a text or their number is too large",
    "422": "the body has not the expected shape",
    "429": "the queue is full; Retry-After says when to ask again",
    "503": "the service is stopping",
}
_NUMBER: dict[str, Any] = {"type": "number"}
_LABEL: dict[str, Any] = {"type": ["string", "integer"]}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _text(meaning: str = "") -> dict[str, Any]:
    return {"type": "string"} | ({"description": meaning} if meaning else {})


def _schemas() -> dict[str, Any]:
    """Of all bodies, by name."""
    span = {"text": _text(), "type": _text(), "start": {"type": "integer"}, "end": {"type": "integer"}}
    probabilities = {"type": "object", "additionalProperties": _NUMBER}
    prediction = {
        "oneOf": [
            _object({"label": _LABEL, "probabilities": probabilities}),
            _object({"spans": _array(_object({**span, "confidence": _NUMBER}))}),
        ]
    }
    named = {"ensemble": _text(), "version": _text("of the artifact that answered")}
    facts = {"name": _text(), "task": _text("classify or tag"), "labels": _array(_LABEL)}
    facts |= {"pairs": {"type": "boolean"}, "version": _text(), "problem": {"type": ["string", "null"]}}
    limits = _object({"texts": {"type": "integer"}, "characters": {"type": "integer"}})
    word = {"type": "array", "description": "a word, and how far the probability falls without it, or null"}
    return {
        "PredictBody": PredictBody.model_json_schema(),
        "WordsBody": WordsBody.model_json_schema(),
        "Predictions": _object(
            {**named, "task": _text(), "labels": _array(_LABEL), "predictions": _array(prediction)}
        ),
        "Words": _object(
            {**named, "label": _LABEL, "probability": _NUMBER, "parts": _array(_array(word))}
            | {"is_cut": {"type": "boolean"}}
        ),
        "Ensembles": _object({"ensembles": _array(_object(facts)), "limits": limits}),
        "Health": _object({"status": _text(), "token": {"type": "boolean"}}),
        "Error": _object({"error": _text("expected …, found …")}),
    }


def _content(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _operation(summary: str, answer: str, body: str | None = None, guarded: bool = True) -> dict[str, Any]:
    statuses = [status for status in _ERRORS if body or status in (("401",) if guarded else ())]
    errors = {status: {"description": _ERRORS[status], "content": _content("Error")} for status in statuses}
    told: dict[str, Any] = {
        "summary": summary,
        "responses": {"200": {"description": summary, "content": _content(answer)}, **errors},
    }
    if body is not None:
        told["requestBody"] = {"required": True, "content": _content(body)}
    return told if guarded else told | {"security": []}


def openapi_document(with_token: bool) -> dict[str, Any]:
    """The document.

    Args:
        with_token: Whether one is asked for.
    """
    metrics = _operation("Counts, as Prometheus reads them", "Health")
    metrics["responses"]["200"]["content"] = {"text/plain": {"schema": _text()}}
    components: dict[str, Any] = {"schemas": _schemas()}
    if with_token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "raytrain", "version": raytrain.__version__},
        "paths": {
            "/predict": {"post": _operation("Predicts texts", "Predictions", "PredictBody")},
            "/words": {"post": _operation("Tells which words moved a decision", "Words", "WordsBody")},
            "/ensembles": {"get": _operation("What is served", "Ensembles")},
            "/health": {"get": _operation("Whether it runs", "Health", guarded=False)},
            "/metrics": {"get": metrics},
        },
        "components": components,
        "security": [{"token": []}] if with_token else [],
    }
