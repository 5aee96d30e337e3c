"""Customers who are probably one person, by the model of Fellegi and Sunter, as Splink computes it.

How much a field that differs speaks against one person is fixed here; how little it says that a
field is the same, because many have it, is counted in the file. Nothing is learned from pairs: in a
file without any double, what is learned from it finds some (decision 0050). Two rows of a household
are told apart by a rule, because the model takes fields for independent and an address is not.

Only who asks for it imports this: Splink comes with the extra `match`.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow
import splink.comparison_library as compared
from splink import Linker, SettingsCreator, block_on
from splink.backends.duckdb import DuckDBAPI

from reports.crm_file import LEAST_CUSTOMERS, Customers

_ALIKE = (0.92, 0.8)  # by Jaro and Winkler
_FOUR = (0.85, 0.06, 0.04, 0.05)
_THREE = (0.85, 0.10, 0.05)
_NAMES = ("given_name", "surname", "street", "city")
_TYPED: Mapping[str, tuple[int, ...]] = {
    "birth_on": (1, 2),
    "email": (1, 2),
    "house_number": (1,),
    "postcode": (1,),
    "phone": (1,),
}
"""How many letters may be wrong."""

_BLOCKS = (
    ("email",),
    ("phone",),
    ("birth_on",),
    ("given_name", "surname"),
    ("surname", "postcode"),
    ("given_name", "postcode"),
    ("street", "house_number"),
    ("street", "city"),
)
"""Only rows that are the same in all columns of one of these are compared at all."""

_DOUBLES = 0.1
_PAIRS_COUNTED = 1e6


class Pair(NamedTuple):
    """Two customers who are probably one person, and which columns speak for it and against it."""

    crm_id: str
    other_crm_id: str
    probability: float
    alike: Sequence[str]
    unlike: Sequence[str]


def probable_pairs(customers: Customers, least: float) -> Sequence[Pair]:
    """Give the pairs that are one person with at least this probability, the likeliest first.

    Shape: one in ten customers is taken to be there twice. Of fewer than `LEAST_CUSTOMERS` nothing
    can be said. The same for the same file."""
    if len(customers.agreed) < LEAST_CUSTOMERS:
        return []
    blocks = [on for on in _BLOCKS if set(on) <= set(customers.compared)]
    blocks = blocks or [(column,) for column in customers.compared]
    found = [_pair(row, customers.compared) for row in _predicted(customers, blocks, least)]
    return sorted(
        (pair for pair in found if not _is_household(pair)),
        key=lambda pair: (-pair.probability, pair.crm_id, pair.other_crm_id),
    )


def _predicted(
    customers: Customers, blocks: Sequence[Sequence[str]], least: float
) -> Sequence[Mapping[str, Any]]:
    columns = zip(*customers.agreed, strict=True)
    named = dict(zip(("unique_id", *customers.agreed[0]._fields[1:]), columns, strict=True))
    kept = {name: named[name] for name in ("unique_id", *customers.compared)}
    table = pyarrow.table({name: pyarrow.array(kept[name], pyarrow.string()) for name in kept})
    settings = SettingsCreator(
        "dedupe_only",
        comparisons=[_comparison(column) for column in customers.compared],
        blocking_rules_to_generate_predictions=[block_on(*columns) for columns in blocks],
        probability_two_random_records_match=2 * _DOUBLES / (len(customers.agreed) - 1),
        retain_matching_columns=False,
        retain_intermediate_calculation_columns=True,
    )
    linker = Linker(DuckDBAPI().register(table), settings, log_level=logging.ERROR)
    linker.training.estimate_u_using_random_sampling(max_pairs=_PAIRS_COUNTED, seed=1)
    return linker.inference.predict(threshold_match_probability=least).as_record_list()


def _comparison(
    column: str,
) -> compared.JaroWinklerAtThresholds | compared.DamerauLevenshteinAtThresholds:
    if column in _NAMES:
        name = compared.JaroWinklerAtThresholds(column, list(_ALIKE))
        _ = name.configure(m_probabilities=list(_FOUR))
        return name
    wrong = _TYPED[column]
    typed = compared.DamerauLevenshteinAtThresholds(column, list(wrong))
    _ = typed.configure(m_probabilities=list(_FOUR if len(wrong) == 2 else _THREE))
    return typed


def _pair(row: Mapping[str, Any], compared: Sequence[str]) -> Pair:
    one, other = sorted((str(row["unique_id_l"]), str(row["unique_id_r"])))
    weights = {column: float(row[f"mw_{column}"]) for column in compared}
    return Pair(
        one,
        other,
        float(row["match_probability"]),
        [column for column, weight in weights.items() if weight > 0],
        [column for column, weight in weights.items() if weight < 0],
    )


def _is_household(pair: Pair) -> bool:
    """Say whether given names differ and no date of birth says otherwise: two who live together."""
    return "given_name" in pair.unlike and "birth_on" not in pair.alike
