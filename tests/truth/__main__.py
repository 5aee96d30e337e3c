"""`python -m tests.truth`: a simulated shop through a whole Beleg, each figure beside its truth."""

import asyncio
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import click

from tests.flow.houses import House, embedded_house
from tests.truth.people import population
from tests.truth.report import Figure, report, table
from tests.truth.sending import send
from tests.truth.shop import Traffic, traffic
from tests.truth.truth import Truth, truth


def told_to(house: House, people: int, seed: int) -> tuple[Traffic, list[Figure]]:
    """Send what these people did, wait until it has landed, and compare."""
    happened = traffic(population(people, seed), seed, datetime.now(UTC))
    total = sum(one.copies for one in happened.told)
    sent = 0

    def say(events: int) -> None:
        nonlocal sent
        before, sent = sent, sent + events
        if sent * 10 // total > before * 10 // total:
            print(f"{sent:,} of {total:,} events sent", file=sys.stderr)  # noqa: T201

    asyncio.run(send(house.url, happened.told, say))
    house.ledger_at_rest(600)
    return happened, report(house.ask, truth(happened))


def written(true: Truth) -> str:
    """The truth as a file: sessions, orders, and the person of each event."""
    return json.dumps(true._asdict(), default=str, indent=1)


@click.command()
@click.option("--people", default=3_000, show_default=True, help="How many people there are.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same people.")
@click.option("--keep", type=click.Path(path_type=Path), help="Leave store and truth file here.")
def main(people: int, seed: int, keep: Path | None) -> None:
    """Print the truth report; exit 1 when a figure is wrong."""
    with tempfile.TemporaryDirectory(prefix="beleg-truth-") as scratch:
        directory = keep or Path(scratch)
        directory.mkdir(parents=True, exist_ok=True)
        with embedded_house(directory) as house:
            happened, figures = told_to(house, people, seed)
        (directory / "truth.json").write_text(written(truth(happened)), "utf-8")
    print(table(figures))  # noqa: T201
    sys.exit(0 if all(one.holds for one in figures) else 1)


if __name__ == "__main__":
    main()
