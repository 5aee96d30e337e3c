"""Which facts are not over, as conditions."""

import importlib.resources

_SQL = importlib.resources.files("processors.retention").joinpath("kept.sql").read_text("utf-8")


def first_day(fact: str) -> str:
    """Write the first day from which on everything of a fact's class is there."""
    return _SQL.format(fact=fact)


def kept(fact: str) -> str:
    """Write the condition that a fact is not over; of the day before a horizon it is not."""
    return f"toDate({fact}.occurred_at) + 1 >= {first_day(fact)}"
