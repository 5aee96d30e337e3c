"""The schemas of the OpenAPI description, made from the types that decode and encode."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_type_hints

import msgspec

from collector.consent import Decision
from collector.naming import Told
from processors.balance import Balance
from processors.identity.person import Kind
from spine.codes import CODES
from spine.event import ConsentClaim, Event, Instant

Part = dict[str, Any]
"""A part of the description."""

_REF = "#/components/schemas/{name}"


def ref(name: str) -> Part:
    """Point to a schema by its name."""
    return {"$ref": _REF.format(name=name)}


def schemas() -> Part:
    """Give the schema of everything that is sent and answered, by name."""
    event = msgspec.defstruct("Event", list(_fields(Event)), forbid_unknown_fields=True)
    _, named = msgspec.json.schema_components([event, Decision], ref_template=_REF)
    of_events: Part = {"type": "array", "items": ref("Event"), "maxItems": 5_000}
    batch = {"events": of_events, "sent_at": msgspec.json.schema(Instant | None)}
    shown: Part = {
        "EventOrBatch": {"anyOf": [ref("Event"), ref("Batch")]},
        "Batch": _object(batch, ["events"]),
        "Results": _object(
            {
                "accepted": {"type": "integer", "minimum": 0},
                "results": {"type": "array", "items": ref("Result")},
            }
        ),
        "Result": _result(),
        "Taken": _object({"accepted": {"const": 1}}),
        "Refusal": _texts("code", "meaning", "detail") | {"additionalProperties": False},
        "Trouble": _texts("trouble"),
        **_erasures(),
        **_rates(),
        "Ledger": _object(
            {
                "log_id": {"type": "string"},
                "holds": {"type": "boolean"},
                "partitions": {"type": "array", "items": _balance()},
            }
        ),
        "Paths": _object(
            {
                "events": {"type": "array", "items": _texts("event_id", "site", "name")},
                "rejected": {"type": "array", "items": _texts("log_id", "code", "detail")},
            }
        ),
    }
    plain: Part = _plain({**named, **shown})
    return plain


def _erasures() -> Part:
    return {
        "Wanted": _object(
            {
                "site": {"type": "string"},
                "kind": {"enum": [*get_args(Kind)]},
                "value": {"type": "string", "minLength": 1, "maxLength": 256},
                "why": {"type": "string", "maxLength": 200},
            },
            ["site", "kind", "value"],
        )
        | {"additionalProperties": False},
        "Split": _object(
            {
                "site": {"type": "string"},
                "one": {"type": "string", "maxLength": 300},
                "other": {"type": "string", "maxLength": 300},
                "why": {"type": "string", "maxLength": 200},
                "undo": {"type": "boolean"},
            },
            ["site", "one", "other"],
        )
        | {"additionalProperties": False},
        "Erased": _object({"erasure": {"type": ["string", "null"]}}),
        "Erasure": _texts("erasure", "state", "asked_at", "site", "receipt"),
    }


def _rates() -> Part:
    return {
        "Rates": _object(
            {
                "csv": {"type": "string"},
                "base": {"type": "string", "maxLength": 3},
                "since": {"type": ["string", "null"], "format": "date"},
                "replace": {"type": "boolean"},
            },
            ["csv"],
        ),
        "RatesTaken": _object(
            {
                "rates": {"type": "integer"},
                "currencies": {"type": "integer"},
                "first": {"type": "string", "format": "date"},
                "last": {"type": "string", "format": "date"},
            }
        ),
    }


def _fields(struct: type[msgspec.Struct]) -> Any:
    hints = get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        if hints[field.name] is msgspec.Raw:  # decoded later, where unreadable means undecided
            yield field.encode_name, ConsentClaim | None, None
        elif field.name == "identifiers":
            yield field.encode_name, Told | None, None
        elif field.required:
            yield field.encode_name, hints[field.name]
        else:
            yield field.encode_name, hints[field.name], field.default


def _result() -> Part:
    kinds = ("accepted", "refused", "dropped")
    codes = [code.name for code in CODES.values() if code.kind in kinds]
    optional = {"type": ["string", "null"]}
    return _object(
        {
            "event_id": optional,
            "status": {"enum": list(kinds)},
            "code": {"enum": [*codes, None]},
            "detail": optional,
        }
    )


def _balance() -> Part:
    hints = get_type_hints(Balance)
    return _object({name: msgspec.json.schema(hint) for name, hint in hints.items()})


def _plain(tree: Any) -> Any:
    """Say in words that every reader of JSON Schema knows what msgspec says in its own: decimals
    are numbers or texts, a pattern ends with `$`, a range is a list of two."""
    if isinstance(tree, list):
        return [_plain(each) for each in tree]
    if not isinstance(tree, dict):
        return tree
    if tree.get("format") == "decimal":
        return {"anyOf": [{"type": "number"}, tree]}
    if "prefixItems" in tree:
        tree = tree | {"items": tree["prefixItems"][0]}
    return {
        name: each.replace("\\Z", "$") if name == "pattern" else _plain(each)
        for name, each in tree.items()
        if name != "prefixItems"
    }


def _object(properties: Mapping[str, Any], required: Sequence[str] | None = None) -> Part:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else list(required),
        "additionalProperties": False,
    }


def _texts(*names: str) -> Part:
    properties = {name: {"type": "string"} for name in names}
    return {"type": "object", "properties": properties, "required": list(names)}
