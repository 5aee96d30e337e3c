"""One line of the table: a figure, its floor, and its ratio to a baseline of the same run."""

from collections.abc import Sequence
from typing import NamedTuple


class Cost(NamedTuple):
    """What some events cost the processes measured."""

    events: int
    cpu_s: float

    @property
    def per_cpu_s(self) -> float:
        """Events per CPU-second."""
        return self.events / max(self.cpu_s, 0.01)


class Figure(NamedTuple):
    """What was measured.

    Shape: the ratio is events per CPU-second over those of the baseline. Units: as `unit` says."""

    what: str
    reached: float
    unit: str
    floor: float | None = None
    at_most: bool = False
    cost: Cost | None = None
    baseline: str = ""
    against: Cost | None = None
    least_ratio: float | None = None
    least_per_cpu_s: float | None = None

    @property
    def holds(self) -> bool:
        """Say whether every floor is kept; a figure without one keeps it."""
        if self.least_ratio is not None and (self.ratio or 0) < self.least_ratio:
            return False
        per_cpu_s = self.cost.per_cpu_s if self.cost else 0
        if self.least_per_cpu_s is not None and per_cpu_s < self.least_per_cpu_s:
            return False
        if self.floor is None:
            return True
        return self.reached <= self.floor if self.at_most else self.reached >= self.floor

    @property
    def ratio(self) -> float | None:
        """Events per CPU-second, as a share of the baseline's."""
        if self.cost is None or self.against is None:
            return None
        return self.cost.per_cpu_s / self.against.per_cpu_s


_HEAD = ("what", "floor", "reached", "", "µs CPU/event", "per CPU-s", "baseline", "its", "ratio")


def table(figures: Sequence[Figure]) -> str:
    """Lay the figures out in columns."""
    rows = [_HEAD, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = ["  ".join(_cells(row, widths)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _cells(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.ljust(width) if column in (0, 3, 6) else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _row(figure: Figure) -> tuple[str, ...]:
    floors = []
    if figure.floor is not None:
        floors.append(f"{'≤' if figure.at_most else '≥'} {_number(figure.floor)}")
    if figure.least_per_cpu_s is not None:
        floors.append(f"{figure.least_per_cpu_s:,.0f}/CPU-s")
    if figure.least_ratio is not None:
        floors.append(f"ratio {figure.least_ratio:.2f}")
    cost, against, ratio = figure.cost, figure.against, figure.ratio
    return (
        figure.what,
        ", ".join(floors),
        f"{_number(figure.reached)} {figure.unit}",
        "" if figure.holds else "MISSED",
        f"{cost.cpu_s / cost.events * 1e6:.1f}" if cost else "",
        f"{cost.per_cpu_s:,.0f}" if cost else "",
        figure.baseline,
        f"{against.per_cpu_s:,.0f}" if against else "",
        f"{ratio:.2f}" if ratio is not None else "",
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
