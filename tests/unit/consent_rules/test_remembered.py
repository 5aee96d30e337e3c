"""What is remembered stays within its bytes, and what is asked for stays longest."""

from hypothesis import given
from hypothesis import strategies as st

from consent_rules.remembered import Remembered


@given(st.lists(st.integers(0, 12), max_size=60), st.data())
def test_what_is_found_is_what_was_kept_within_the_bound(
    sizes: list[int], data: st.DataObject
) -> None:
    remembered: Remembered[int, int] = Remembered(20)
    for key in data.draw(st.lists(st.integers(0, len(sizes) - 1), max_size=200)) if sizes else []:
        if remembered.find(key) is None:
            remembered.keep(key, key, sizes[key])
        assert remembered.find(key) == (key if sizes[key] <= 10 else None)
        found = [known for known in range(len(sizes)) if remembered.find(known) is not None]
        assert sum(sizes[known] for known in found) <= 20


def test_what_is_asked_for_outlives_what_is_not() -> None:
    remembered: Remembered[int, str] = Remembered(10)
    for key in range(100):
        remembered.keep(key, str(key), 1)
        remembered.find(0)
    assert remembered.find(0) == "0"
    assert remembered.find(50) is None
    assert remembered.find(98) == "98"
    assert len(remembered) <= 10
