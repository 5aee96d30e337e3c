"""Whether the event loop's thread wants the CPU all the time, or sleeps."""

import threading
import time

from collector.door.busy import Busy


def spin(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_a_thread_that_computes_is_busy_and_one_that_sleeps_is_not() -> None:
    busy = Busy()
    spin(0.1)
    share, seconds = busy.since()
    assert share > 0.9  # also where others have the core for a while
    assert seconds >= 0.1
    shares = []
    for _ in range(10):  # others may have the core when this thread wakes up
        time.sleep(0.05)
        share, seconds = busy.since()
        assert seconds >= 0.05
        shares.append(share)
    assert min(shares) < 0.5
    busy.close()


def test_what_other_threads_compute_does_not_count() -> None:
    busy = Busy()
    other = threading.Thread(target=spin, args=(0.1,))
    other.start()
    other.join()
    assert busy.since()[0] < 0.5
    busy.close()
