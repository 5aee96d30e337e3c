"""The cases with known answers of `vectors/`, and a TC string told as the oracle tells it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from consent_rules.signals.tcf import TcString, Vendors

_VECTORS = Path(__file__).parent / "vectors"


def vectors(name: str) -> Any:
    return msgspec.json.decode((_VECTORS / f"{name}.json").read_bytes())


def ids_of(vendors: Vendors | None) -> list[int]:
    return [vendor for vendor in range(1, 2000) if vendors is not None and vendors.has(vendor)]


def moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def told(found: TcString) -> dict[str, Any]:
    """Tell a string as the oracle does."""
    publisher = found.publisher
    return {
        "version": found.version,
        "created": moment(found.created_ms),
        "last_updated": moment(found.updated_ms),
        "cmp_id": found.cmp_id,
        "cmp_version": found.cmp_version,
        "consent_screen": found.screen,
        "consent_language": found.language,
        "vendor_list_version": found.vendor_list,
        "tcf_policy_version": found.policy,
        "is_service_specific": found.is_service_specific,
        "use_non_standard_texts": found.own_texts,
        "special_feature_opt_ins": sorted(found.special_features),
        "purposes_consent": sorted(found.consents),
        "purposes_li_transparency": sorted(found.interests),
        "purpose_one_treatment": found.purpose_one_untold,
        "publisher_cc": found.country,
        "vendor_consents": ids_of(found.vendor_consents),
        "vendor_legitimate_interests": ids_of(found.vendor_interests),
        "publisher_restrictions": [
            {"purpose_id": r.purpose, "restriction_type": r.kind, "vendor_ids": ids_of(r.vendors)}
            for r in found.restrictions
        ],
        "vendors_disclosed": ids_of(found.disclosed),
        "pub_purposes_consent": sorted(publisher.consents) if publisher else [],
        "pub_purposes_li": sorted(publisher.interests) if publisher else [],
        "num_custom_purposes": publisher.custom if publisher else 0,
        "custom_purposes_consent": sorted(publisher.custom_consents) if publisher else [],
        "custom_purposes_li": sorted(publisher.custom_interests) if publisher else [],
    }


def in_order(tree: dict[str, Any]) -> dict[str, Any]:
    restrictions = tree["publisher_restrictions"]
    restrictions.sort(key=lambda one: (one["purpose_id"], one["restriction_type"]))
    return tree
