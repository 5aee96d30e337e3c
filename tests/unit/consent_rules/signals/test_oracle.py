"""The decoders against IAB's own libraries from npm, on thousands of strings that are made up.

Needs node and npm, and asks the registry of npm: a test that is only run when it is asked for, and
then fails where they are missing.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from consent_rules.reading import Reading
from consent_rules.signals.gpp import says
from consent_rules.signals.said import Said
from consent_rules.signals.tcf import TcString, decode
from tests.unit.consent_rules.signals.given import in_order, told
from tests.unit.consent_rules.signals.tc_encoder import ALPHABET, encoded_anyhow

pytestmark = pytest.mark.long
LIBRARIES = ("@iabtechlabtcf/core@1.5.21", "@iabgpp/cmpapi@3.2.0")
ORACLE = Path(__file__).with_name("oracle.cjs")


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("npm")
    command = ("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix")
    subprocess.run(
        [*command, str(directory), *LIBRARIES], check=True, capture_output=True, timeout=300
    )
    return directory


def asked(libraries: Path, what: str, questions: Sequence[object]) -> list[Any]:
    lines = b"".join(msgspec.json.encode(question) + b"\n" for question in questions)
    command = ["node", str(ORACLE), what, str(libraries)]
    done = subprocess.run(command, input=lines, check=True, capture_output=True, timeout=300)
    answers = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(questions)
    return answers


def test_tc_strings_are_read_as_the_official_decoder_reads_them(libraries: Path) -> None:
    random = Random(23)
    texts = [encoded_anyhow(random) for _ in range(2_000)]
    for text, expected in zip(texts, asked(libraries, "tcf", texts), strict=True):
        found = decode(text)
        assert isinstance(found, TcString), (text, found, expected)
        assert in_order(told(found)) == in_order(expected), text


def test_a_spoiled_tc_string_is_no_signal_or_what_the_official_decoder_reads(
    libraries: Path,
) -> None:
    random = Random(24)
    texts = [spoiled(encoded_anyhow(random), random) for _ in range(2_000)]
    read = 0
    for text, expected in zip(texts, asked(libraries, "tcf", texts), strict=True):
        found = decode(text)
        if isinstance(found, TcString) and "error" not in expected:
            read += 1
            assert told_surely(told(found)) == told_surely(expected), text
    assert 300 < read < 1_900


def told_surely(tree: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the oracle tells otherwise: two restrictions of one kind for a purpose it adds
    up, and letters beyond Z it makes capital; and vendors beyond those that `told` looks at."""
    unsure = {"publisher_restrictions", "publisher_cc", "consent_language"}
    return {
        name: [one for one in value if one < 2_000] if isinstance(value, list) else value
        for name, value in tree.items()
        if name not in unsure
    }


def spoiled(text: str, random: Random) -> str:
    at = random.randrange(len(text))
    return random.choice(
        (
            text[:at],
            text[:at] + random.choice(ALPHABET) + text[at + 1 :],
            text[:at] + text[at + 1 :],
        )
    )


SECTIONS = {
    "usnat": ("SaleOptOut", "SharingOptOut", "TargetedAdvertisingOptOut"),
    "usca": ("SaleOptOut", "SharingOptOut"),
    **dict.fromkeys(
        ("usva", "usco", "usut", "usct", "usfl", "usmt", "usor", "ustx", "usde", "usia", "usne",
         "usnh", "usnj", "ustn", "usmn", "usmd", "usin", "usky", "usri"),
        ("SaleOptOut", "TargetedAdvertisingOptOut"),
    ),
}  # fmt: skip
WITH_GPC = frozenset({"usnat", "usca", "usco", "usct"})


def test_opt_outs_of_the_us_are_read_as_the_official_encoder_writes_them(libraries: Path) -> None:
    random = Random(25)
    reading = Reading(us_opt_out=("sale",), gpc=("gpc",))
    models, expected = [], []
    for _ in range(40):
        for section, names in SECTIONS.items():
            fields = [(section, name, random.choice([0, 0, 1, 2])) for name in names]
            fields += [(section, "SaleOptOutNotice", random.randrange(3))]
            denied = {"sale"} if any(value == 1 for _, _, value in fields[: len(names)]) else set()
            if section in WITH_GPC and random.random() < 0.5:
                fields += [(section, "Gpc", True)]
                denied |= {"gpc"}
            models.append(fields)
            expected.append(denied)
    for model, denied, text in zip(models, expected, asked(libraries, "gpp", models), strict=True):
        assert isinstance(text, str), (model, text)
        said = list(says("gpp", text, reading))
        assert len(said) == 1
        assert isinstance(said[0], Said), (model, text, said)
        assert said[0].denied == denied, (model, text)
