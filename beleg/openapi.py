"""The description of the public and the admin listener, as OpenAPI 3.1, made from what they run on.

The event comes from the types that decode it, refusals from the table of codes, the balance from
its own type. `docs/openapi.json` is this, written by `make docs`; the admin listener serves it.
"""

from collections.abc import Sequence, Set
from importlib.metadata import version

import msgspec

from beleg.openapi_schemas import Part, ref, schemas
from spine.codes import CODES, Code

_ELSEWHERE = frozenset({"unknown_token", "not_found", "method_not_allowed"})
_KEYS: list[Part] = [{"bearer_key": []}, {"query_key": []}]
_TOKEN: list[Part] = [{}, {"admin_token": []}]
_JSON = "application/json"


def description() -> bytes:
    """Give the description as JSON text, the same for the same version."""
    text = msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Beleg",
                "version": version("beleg"),
                "summary": "First-party, server-side event collector",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "paths": {**_public(), **_admin()},
            "components": {
                "schemas": schemas(),
                "headers": {"retry_after": {"schema": {"type": "integer", "minimum": 1}}},
                "securitySchemes": _security(),
            },
        },
        order="deterministic",
    )
    return msgspec.json.format(text, indent=2) + b"\n"


def _security() -> Part:
    bearer = {"type": "http", "scheme": "bearer"}
    return {
        "bearer_key": bearer | {"description": "A browser key or a server key of a site."},
        "query_key": {
            "type": "apiKey",
            "in": "query",
            "name": "key",
            "description": "A browser key; a server key is not taken from a URL.",
        },
        "admin_token": bearer | {"description": "admin.token, where one is set."},
    }


def _public() -> Part:
    servers = [{"url": "http://127.0.0.1:8080", "description": "collector.listen"}]
    preflight = {
        "summary": "Say yes to pages of the sites, by CORS headers.",
        "security": [{}],
        "responses": {"204": {"description": "Allowed where CORS headers are in it."}},
    }
    return {
        "/v1/events": {
            "servers": servers,
            "post": _post_events(),
            "options": {"operationId": "preflight", **preflight},
        },
        "/v1/consent": {
            "servers": servers,
            "post": _post_consent(),
            "options": {"operationId": "preflight_consent", **preflight},
        },
        "/v1/pixel.gif": _pixel(),
    }


def _pixel() -> Part:
    image = {"image/gif": {"schema": {"type": "string", "contentMediaType": "image/gif"}}}
    fields = {
        "name": "fields",
        "in": "query",
        "description": "The event: page.url=…, consent=analytics,ads_measurement; and what consent"
        " tools say: gdpr, gdpr_consent, gpp, gcs, gcd.",
        "style": "form",
        "explode": True,
        "schema": {"type": "object", "additionalProperties": {"type": "string"}},
    }
    answers = {
        "200": "Accepted, refused or dropped: if accepted, durable.",
        "401": CODES["unknown_key"].meaning,
        "403": CODES["origin_not_allowed"].meaning,
        "429": CODES["quota_exceeded"].meaning,
        "500": CODES["internal_error"].meaning,
        "503": CODES["log_unavailable"].meaning,
    }
    refusals = {
        status: part for status, part in _refusals(set()).items() if status in ("400", "431")
    }
    return {
        "get": {
            "operationId": "get_pixel",
            "summary": "Take one event from the address; the answer is the same image always.",
            "security": [{"query_key": []}],
            "parameters": [fields],
            "responses": refusals
            | {
                status: {"description": meaning, "content": image}
                for status, meaning in answers.items()
            },
        }
    }


def _post_events() -> Part:
    return {
        "operationId": "post_events",
        "summary": "Take one event or a batch; answers when everything accepted is durable.",
        "security": _KEYS,
        "requestBody": _body("EventOrBatch", "May be compressed, told by Content-Encoding."),
        "responses": {
            "202": _json("A result for each event.", "Results"),
            **_refusals({"bad_decision"}),
        },
    }


def _post_consent() -> Part:
    says = "Names anonymous_id, user_id, or both; a grant names its purposes."
    return {
        "operationId": "post_consent",
        "summary": "Take a consent decision; answers when it is durable and in force here.",
        "security": _KEYS,
        "requestBody": _body("Decision", says),
        "responses": {
            "202": _json("It is durable.", "Taken"),
            **_refusals({"unreadable_body", "too_many_events", "consent_unknown"}),
        },
    }


def _body(schema: str, says: str) -> Part:
    content = {kind: {"schema": ref(schema)} for kind in (_JSON, "text/plain")}
    return {"required": True, "description": says, "content": content}


def _refusals(others: Set[str]) -> Part:
    refusals: dict[str, list[Code]] = {}
    for code in CODES.values():
        if code.kind == "request" and code.name not in _ELSEWHERE | others:
            refusals.setdefault(str(code.http_status), []).append(code)
    return {status: _refusal(codes) for status, codes in sorted(refusals.items())}


def _refusal(codes: Sequence[Code]) -> Part:
    known = {"properties": {"code": {"enum": [code.name for code in codes]}}}
    says = " ".join(f"`{code.name}`: {code.meaning}" for code in codes)
    answer: Part = {
        "description": says,
        "content": {_JSON: {"schema": {"allOf": [ref("Refusal"), known]}}},
    }
    if any(code.http_status == 503 for code in codes):
        answer["headers"] = {"Retry-After": {"$ref": "#/components/headers/retry_after"}}
    return answer


def _admin() -> Part:
    text = {"text/plain": {"schema": {"type": "string"}}}
    ready: Part = {"200": {"description": "Ready.", "content": text}}
    ready["503"] = {"description": "Not ready, and why.", "content": text}
    away = _json("Log or store are away.", "Trouble")
    event_id = {"name": "event_id", "in": "path", "required": True}
    paths = {
        "/healthz": _get("Alive.", {"200": {"description": "Alive.", "content": text}}, []),
        "/readyz": _get("Can it do its work?", ready, []),
        "/metrics": _get("Prometheus' text.", {"200": {"description": "All.", "content": text}}),
        "/openapi.json": _get("This description.", {"200": _json("This.", None)}),
        "/ledger": _get(
            "The balance of every partition; not on a collector.",
            {
                "200": _json("Every record has one fate.", "Ledger"),
                "500": _json("It does not hold.", "Ledger"),
                "503": away,
            },
        ),
        "/events/{event_id}": _get(
            "The whole path of one event id; not on a collector.",
            {
                "200": _json("What has landed under it.", "Paths"),
                "404": _json("Nothing has.", "Paths"),
                "503": away,
            },
        )
        | {"parameters": [event_id | {"schema": {"type": "string", "pattern": "^[^./{}]+$"}}]},
        **_erasures(away),
        **_splits(away),
        **_rates(away),
    }
    servers = [{"url": "http://127.0.0.1:9090", "description": "admin.listen"}]
    return {path: operations | {"servers": servers} for path, operations in paths.items()}


def _erasures(away: Part) -> Part:
    erasure = {"name": "erasure", "in": "path", "required": True}
    refused = _refusal([CODES["unknown_token"]])
    taken = {"summary": "Erase a person; not on a collector.", "security": [{"admin_token": []}]}
    answers = {
        "202": _json("Nothing shows it any more.", "Erased"),
        "400": _refusal([CODES["bad_erasure"]]),
        "401": refused,
        "404": _json("Nobody is known by that.", "Erased"),
        "503": away,
    }
    body = {"required": True, "content": {_JSON: {"schema": ref("Wanted")}}}
    shown = {"200": _json("So far.", "Erasure"), "404": _json("None of this id.", None)}
    return {
        "/erasures": {"post": {**taken, "requestBody": body, "responses": answers}},
        "/erasures/{erasure}": _get("How far an erasure is.", {**shown, "503": away})
        | {"parameters": [erasure | {"schema": {"type": "string", "pattern": "^[^./{}]+$"}}]},
    }


def _splits(away: Part) -> Part:
    answers = {
        "200": _json("Every row says so.", None),
        "400": _refusal([CODES["bad_split"]]),
        "401": _refusal([CODES["unknown_token"]]),
        "404": _json("There is none to split, or to undo.", None),
        "503": away,
    }
    says = "Let evidence that names two identifiers count no more; not on a collector."
    body = {"required": True, "content": {_JSON: {"schema": ref("Split")}}}
    split = {"summary": says, "security": [{"admin_token": []}]}
    return {"/identity/splits": {"post": {**split, "requestBody": body, "responses": answers}}}


def _rates(away: Part) -> Part:
    answers = {
        "200": _json("They count.", "RatesTaken"),
        "400": _refusal([CODES["bad_rates"]]),
        "401": _refusal([CODES["unknown_token"]]),
        "503": away,
    }
    says = "Store exchange rates, all of a file or nothing; not on a collector."
    body = {"required": True, "content": {_JSON: {"schema": ref("Rates")}}}
    rates = {"summary": says, "security": [{"admin_token": []}]}
    return {"/rates": {"post": {**rates, "requestBody": body, "responses": answers}}}


def _get(summary: str, responses: Part, security: Sequence[Part] = _TOKEN) -> Part:
    if security:
        responses = responses | {"401": _refusal([CODES["unknown_token"]])}
    return {"get": {"summary": summary, "security": security, "responses": responses}}


def _json(says: str, schema: str | None) -> Part:
    return {
        "description": says,
        "content": {_JSON: {"schema": ref(schema) if schema else {"type": "object"}}},
    }
