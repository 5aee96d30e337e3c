"""The two kinds of trouble; everything else that is raised is a bug and crashes loudly.

    Exception
    ├── Unavailable     the outside is away: try the same thing again
    └── Misconfigured   refuse to start: the message names the key and the remedy

Bad data is not trouble: it is a value (`spine.codes`).
"""


class Unavailable(Exception):
    """Something outside this process cannot be reached or cannot take more.

    Units: `retry_after_s` is a hint for the caller, in seconds.
    """

    def __init__(self, what: str, retry_after_s: float = 1.0) -> None:
        super().__init__(what)
        self.what = what
        self.retry_after_s = retry_after_s


class Misconfigured(Exception):
    """The program must not start or go on like this; the command line ends with exit code 2."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"{key}: {why}")
        self.key = key
        self.why = why
