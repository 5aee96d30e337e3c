"""Posting a file of events to a collector: the engine of `beleg send`.

Invariants:

1. At most `concurrency` parcels are in memory, whatever the size of the file.
2. Every line read is accepted, refused or dropped, or the summary says what stopped the run.
3. A parcel is sent again, whole and unchanged, until it is answered: event ids settle repeats.
"""

import asyncio
import bisect
import gzip
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import aiohttp
import msgspec

from beleg.parcel import Parcel, Refusal, cut
from beleg.post import Letter, Result, events_url, open_session, post
from spine.errors import Misconfigured, Unavailable

_GZIP_LEVEL = 3  # JSON shrinks nearly as far as with 6, in half the time


class SendOptions(msgspec.Struct, frozen=True):
    """How to send.

    Units: `batch_bytes` before compression; `patience_s` is how long one batch is tried while the
    collector gives no answer; `total_bytes` is only for the progress, None if unknown."""

    batch_events: int = 500
    batch_bytes: int = 900_000
    concurrency: int = 4
    patience_s: float = 300.0
    answer_timeout_s: float = 30.0
    refusals_shown: int = 20
    total_bytes: int | None = None


class Progress(msgspec.Struct, frozen=True):
    """How far the run is; lines and bytes count once the collector answered for them."""

    lines: int
    read_bytes: int
    total_bytes: int | None
    lines_per_s: float


class Summary(msgspec.Struct, frozen=True):
    """What became of the lines of a file.

    Shape: `lines` = accepted + refused + dropped, unless `trouble` stopped the run: the rest of
    `lines` then has no answer. `by_code` counts every code met; `refusals` are the first by line.
    """

    lines: int
    accepted: int
    refused: int
    dropped: int
    by_code: Mapping[str, int]
    refusals: Sequence[Refusal]
    without_event_id: int
    trouble: Unavailable | Misconfigured | None


class _Run:
    """What a run has counted so far."""

    def __init__(self, options: SendOptions) -> None:
        self.options = options
        self.began_at_s = time.monotonic()
        self.lines = self.settled = self.read_bytes = self.without_id = 0
        self.by_status: Counter[str] = Counter()
        self.by_code: Counter[str] = Counter()
        self.refusals: list[Refusal] = []
        self.trouble: Unavailable | Misconfigured | None = None

    def settle(self, parcel: Parcel, results: Sequence[Result]) -> None:
        """Count an answered parcel."""
        self.by_status.update(result.status for result in results)
        self.by_code.update(result.code for result in results if result.code)
        for number, result in zip(parcel.numbers, results, strict=True):
            if result.status == "refused":
                self._keep(Refusal(number, result.code or "refused", result.detail or ""))
        for refusal in parcel.unsendable:
            self.by_status["refused"] += 1
            self.by_code[refusal.code] += 1
            self._keep(refusal)
        self.settled += len(parcel.numbers) + len(parcel.unsendable)
        self.read_bytes += parcel.read_bytes

    def _keep(self, refusal: Refusal) -> None:
        # Answers overtake each other; what is shown are the first lines, not the first answers.
        bisect.insort(self.refusals, refusal)
        del self.refusals[self.options.refusals_shown :]

    def progress(self) -> Progress:
        """How far the run is now."""
        spent_s = max(time.monotonic() - self.began_at_s, 1e-3)
        total_bytes = self.options.total_bytes
        return Progress(self.settled, self.read_bytes, total_bytes, self.settled / spent_s)

    def summary(self) -> Summary:
        """What became of all lines read."""
        return Summary(
            lines=self.lines,
            accepted=self.by_status["accepted"],
            refused=self.by_status["refused"],
            dropped=self.by_status["dropped"],
            by_code=dict(self.by_code),
            refusals=tuple(self.refusals),
            without_event_id=self.without_id,
            trouble=self.trouble,
        )


async def send(
    lines: Iterable[bytes],
    url: str,
    key: str,
    *,
    options: SendOptions,
    progress: Callable[[Progress], None],
    warn: Callable[[str], None],
) -> Summary:
    """Return when the collector has answered for every line, or when it is pointless to go on.

    The lines are read in a thread, a few batches ahead at most. `warn` is called once if lines
    lack an event id. Raises: Misconfigured if the url is no address; trouble on the way is in the
    summary, beside what was sent before it."""
    target = events_url(url)
    parcels = cut(lines, max_events=options.batch_events, max_bytes=options.batch_bytes)
    run, turn = _Run(options), asyncio.Lock()

    async def work(session: aiohttp.ClientSession) -> None:
        while run.trouble is None:
            async with turn:
                parcel = await asyncio.to_thread(_next, parcels)
                if parcel is None:
                    return
                _begin(run, parcel, warn)
            try:
                results = await _deliver(session, parcel, target, key, options.patience_s)
            except (Unavailable, Misconfigured) as trouble:
                run.trouble = trouble
                return
            run.settle(parcel, results)
            progress(run.progress())

    async with (
        open_session(options.concurrency, options.answer_timeout_s) as session,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(options.concurrency):
            group.create_task(work(session))
    return run.summary()


def _next(parcels: Iterator[Parcel]) -> Parcel | None:
    return next(parcels, None)


def _begin(run: _Run, parcel: Parcel, warn: Callable[[str], None]) -> None:
    run.lines += len(parcel.numbers) + len(parcel.unsendable)
    if parcel.without_id and not run.without_id:
        warn(
            f"line {parcel.first_without_id} has no event_id: a server key is told missing_field, "
            "and with a browser key an event may count twice when an answer is lost"
        )
    run.without_id += parcel.without_id


async def _deliver(
    session: aiohttp.ClientSession, parcel: Parcel, url: str, key: str, patience_s: float
) -> Sequence[Result]:
    if not parcel.events:
        return ()
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
    }
    body = await asyncio.to_thread(gzip.compress, parcel.body(), _GZIP_LEVEL)
    letter = Letter(url, headers, body, len(parcel.events))
    return await post(session, letter, patience_s=patience_s)
