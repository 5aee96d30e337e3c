"""What a batch of records frees stays with the process for the next one."""

import resource
import subprocess
import sys

SCRIPT = """
import resource, sys
from spine.runtime import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def batch():
    return [bytes([n % 256]) * 1_000_000 for n in range(16)]
batch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    batch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages_asked_for(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_freed_memory_is_not_asked_for_again() -> None:
    in_a_batch = 16_000_000 // resource.getpagesize()
    assert pages_asked_for("given back") > 10 * in_a_batch
    assert pages_asked_for("kept") < in_a_batch
