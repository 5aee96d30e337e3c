"""`make bench`: every measurement in one run, one table, exit 1 when a floor is missed."""

import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from bench import (
    collecting,
    consent,
    erase,
    match,
    one_machine,
    overload,
    processing,
    recovery,
    rows,
    soak,
    visible,
    volume,
)
from bench.figure import Figure, table
from tests.kafka_broker import STRONG, running_broker
from tests.kafka_jars import what_is_missing

_PARTS = (
    "consent", "rows", "collect", "process", "overload", "soak", "run", "visible", "recover",
    "erase", "volume",
)  # fmt: skip
_ASKED = ("match",)  # measured where it is named: it needs a library that the others do not have
_ALONE: Mapping[str, Callable[[int], list[Figure]]] = {
    "consent": consent.measure,
    "rows": rows.measure,
    "match": lambda _: match.measure(),
}
"""Measured in this process, by so many rounds."""
_WITH_KAFKA = {"collect", "process", "overload", "soak"}


@click.command()
@click.option(
    "--quick", is_flag=True, help="Fewer events and seconds; for a look, not for a claim."
)
@click.option(
    "--stored", "sizes", type=int, multiple=True, help="Events stored in part `volume`; repeatable."
)
@click.argument("parts", nargs=-1, type=click.Choice((*_PARTS, *_ASKED)))
def main(quick: bool, sizes: tuple[int, ...], parts: tuple[str, ...]) -> None:
    """Measure PARTS, all of them but `match` when none is named."""
    wanted = parts or _PARTS
    print(f"{_machine()}; Python {platform.python_version()}\n", file=sys.stderr)
    figures: list[Figure] = []
    for part, measured in _ALONE.items():
        if part in wanted:
            figures += _told(part, measured(5 if quick else 20))
    if _WITH_KAFKA & set(wanted):
        figures += _with_kafka(wanted, quick)
    if "run" in wanted:
        events = 100_000 if quick else 1_000_000
        figures += _told("run", one_machine.measure(events))
    if "visible" in wanted:
        figures += _told("visible", visible.measure(15.0 if quick else 60.0))
    if "recover" in wanted:
        figures += _told("recover", recovery.measure(1_000_000 if quick else 10_000_000))
    if "erase" in wanted:
        figures += _told("erase", erase.measure(100_000 if quick else 1_000_000, 400))
    if "volume" in wanted:
        stored = (100_000, 1_000_000) if quick else (100_000, 1_000_000, 10_000_000, 100_000_000)
        fresh = 30_000 if quick else 120_000
        figures += _told("volume", volume.measure(sizes or stored, fresh))
    print(table(figures))
    missed = [figure.what.strip() for figure in figures if not figure.holds]
    print(
        f"\n{_machine()}; " + (f"missed: {'; '.join(missed)}" if missed else "every floor is kept")
    )
    sys.exit(1 if missed else 0)


def _with_kafka(wanted: Sequence[str], quick: bool) -> list[Figure]:
    if (missing := what_is_missing()) is not None:
        raise click.ClickException(missing)
    figures: list[Figure] = []
    with running_broker(machine=STRONG) as broker:
        if "collect" in wanted:
            size = collecting.Size(1, 4.0) if quick else collecting.Size(3, 8.0)
            figures += _told("collect", collecting.measure(broker, size))
        if "process" in wanted:
            figures += _told("process", processing.measure(broker, 60_000 if quick else 300_000))
        if "overload" in wanted:
            figures += _told("overload", overload.measure(broker, 4.0 if quick else 10.0))
        if "soak" in wanted:
            phases = soak.Phases(30, 20, 30) if quick else soak.Phases(600, 120, 180)
            figures += _told("soak", soak.measure(broker, phases))
    return figures


def _told(part: str, figures: list[Figure]) -> list[Figure]:
    """Show a part's figures at once: the whole takes minutes."""
    print(f"{part}, {time.strftime('%H:%M:%S')}\n{table(figures)}\n", file=sys.stderr)
    return figures


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} × {models[0] if models else platform.machine()}"


if __name__ == "__main__":
    main()
