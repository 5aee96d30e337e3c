import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.enrichment.channel_group import channel_group

CASES = json.loads(Path(__file__).with_name("ga4_channel_cases.json").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: "/".join(list(case.values())))
def test_google_s_cases_get_google_s_group(case: dict[str, str]) -> None:
    group = channel_group(case["source_value"], case["medium"], case["campaign"])
    assert group == case["channel"]


@pytest.mark.parametrize(
    ("source", "medium", "campaign", "group"),
    [
        ("GOOGLE", "CPC", "DE-Shopping-Summer", "Paid Shopping"),
        ("Newsletter", "Email", "Herbst", "Email"),
        ("newsletter", "email", "shop-opening", "Organic Shopping"),
        ("", "", "", "Unassigned"),
        ("(not set)", "(not set)", "herbst", "Unassigned"),
        ("(direct)", "email", "", "Email"),
        ("partner", "emailing", "", "Unassigned"),
        ("app", "mobile", "", "Mobile Push Notifications"),
    ],
)
def test_groups_that_surprise(source: str, medium: str, campaign: str, group: str) -> None:
    assert channel_group(source, medium, campaign) == group


@given(st.text(), st.text(), st.text())
def test_every_touch_has_a_group_whatever_is_sent(source: str, medium: str, campaign: str) -> None:
    assert channel_group(source, medium, campaign)
    upper = channel_group(source.upper(), medium.upper(), campaign.upper())
    assert upper == channel_group(source.upper().lower(), medium.upper(), campaign.upper().lower())
