"""Fail points: named places around every line that writes, where a fault test ends the process.

Here for the fault tests only (`make faults`). With `BELEG_FAILPOINT=name`, or `name:n` for the
n-th time, the process is killed as by `kill -9` when it gets there, with `name:n:stop` it stands
still as by `kill -STOP` until it is woken; otherwise nothing happens.
"""

import itertools
import os
import signal

FAIL_POINTS = (
    "before the append's commit",
    "after the append's commit",
    "before the Kafka send",
    "inside the Kafka send",
    "after the Kafka send",
    "before the spill's write",
    "inside the spill's write",
    "after the spill's write",
    "before the drain's append",
    "after the drain's append",
    "after the drain's drop",
    "before the control append",
    "before the control commit",
    "after the control append",
    "before the decision's append",
    "after the decision's append",
    "before the answer to a decision",
    "before the mark",
    "after the mark",
    "inside the erasure of the log",
    "inside the erasure of fates",
    "inside the erasure of facts",
    "inside the erasure of events",
    "before the erasure's receipt",
    "after the erasure's receipt",
    "before the answer",
    "before the tally",
    "after the tally",
    "before the sweep",
    "after the sweep",
    "before events",
    "before visitor_facts",
    "before order_facts",
    "before lead_facts",
    "before identity_evidence",
    "before tallies",
    "before spills",
    "before consent_log",
    "before rejects",
    "before seen",
    "before fates",
    "after the landing",
    "before the token",
    "after the token",
    "before the sessions",
    "after the sessions",
    "before the orders",
    "after the orders",
    "before the persons",
    "after the persons",
    "before the ledger line",
    "after the ledger line",
    "after the commit",
    "before the proofs",
    "before the orders stay",
    "before the horizon",
    "after the horizon",
    "before the past is derived",
    "before the days are cleared",
    "before the fates of what is over",
    "before rows go",
    "after rows went",
    "before the replay's append",
    "after the replay's append",
    "before the import's append",
    "after the import's append",
    "after the split",
)
"""Every place that `reach` names, in the order of an event's way."""

_NAME, _NTH, _ACTION, *_ = f"{os.environ.get('BELEG_FAILPOINT', '')}::".split(":")
_SIGNAL = signal.SIGSTOP if _ACTION == "stop" else signal.SIGKILL
_times = itertools.count(1)


def reach(name: str) -> None:
    """End or stop the process on the spot if this fail point is armed, and it is its turn."""
    if name == _NAME and next(_times) == int(_NTH or 1):
        os.kill(os.getpid(), _SIGNAL)
