"""Metrics of several workers in one text: Prometheus reads it, and finds every sample again."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from spine.metrics import Metrics, side_by_side

_Samples = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


def shown(text: str) -> _Samples:
    names = [family.name for family in text_string_to_metric_families(text)]
    assert len(names) == len(set(names))
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    found = {(one.name, tuple(sorted(one.labels.items()))): one.value for one in samples}
    assert len(found) == len(samples)
    return found


def of_worker(worker: str, text: str) -> _Samples:
    return {
        (name, tuple(sorted((*labels, ("worker", worker))))): value
        for (name, labels), value in shown(text).items()
    }


def test_every_sample_of_every_worker_is_there_once_with_its_label() -> None:
    texts = {}
    for worker, spilled in (("0", 1), ("1", 20)):
        metrics = Metrics("1.0")
        metrics.spilled.inc(spilled)
        metrics.requests.by["events", "202"] += spilled
        metrics.over_quota.labels('a "shop" {x="y"} \\ \n').inc()
        metrics.append_seconds.observe(0.01 * spilled)
        texts[worker] = metrics.exposition().decode()
    together = side_by_side(texts)
    assert shown(together) == {**of_worker("0", texts["0"]), **of_worker("1", texts["1"])}
    assert shown(together)["beleg_spilled_total", (("worker", "1"),)] == 20
    for line in texts["0"].splitlines():
        if line.startswith("#"):
            assert together.splitlines().count(line) == 1


def test_a_worker_that_does_not_answer_is_left_out() -> None:
    text = Metrics("1.0").exposition().decode()
    assert shown(side_by_side({"0": "", "1": text})) == of_worker("1", text)
    assert side_by_side({"0": "", "1": ""}) == ""
