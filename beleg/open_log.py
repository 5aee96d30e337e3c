"""The log that the settings name."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from consent_rules.regions import load_all
from spine.control.log import ControlLog
from spine.embedded.control import EmbeddedControl
from spine.embedded.log import EmbeddedLog
from spine.erasure_key import ErasureKey, key_of
from spine.errors import Misconfigured, Unavailable
from spine.kafka.control import KafkaControl
from spine.kafka.log import KafkaLog
from spine.kafka.login import login_of
from spine.kafka.read import Pace
from spine.kafka.topic import KafkaTopic
from spine.salts.file import SaltFile
from spine.salts.salts import Salts, Zones
from spine.settings import LogSettings, Settings


async def open_log(settings: Settings, *, appends: bool = True) -> EmbeddedLog | KafkaLog:
    """Open the log that the settings name; a Kafka topic is made only for who appends.

    Raises: Misconfigured, Unavailable."""
    log = settings.log
    pace = Pace(settings.processors.batch_records, settings.processors.batch_wait_ms)
    if log.url == "embedded":
        return await EmbeddedLog.open(
            _file(settings),
            batch_records=pace.batch_records,
            batch_wait_ms=pace.batch_wait_ms,
            max_bytes=log.max_bytes,
            retention_s=log.retention_s,
        )
    kafka = KafkaLog(kafka_topic(log), log.group, pace)
    if not appends:
        return kafka
    try:
        await kafka.open()
    except (Unavailable, Misconfigured):
        await kafka.close()
        raise
    return kafka


def control_log(settings: Settings) -> ControlLog:
    """Give the control log that belongs to the log; the embedded one is in the log's file, which
    was opened before. Raises: Misconfigured."""
    if settings.log.url == "embedded":
        return EmbeddedControl(_file(settings))
    return KafkaControl(kafka_topic(settings.log).control)


def side_topics(settings: Settings) -> Sequence[KafkaTopic]:
    """Give the topics beside the one of events that the sites need now: rules may change, and then
    who needs one more makes it. Raises: Misconfigured."""
    topic = kafka_topic(settings.log)
    wants_salts = any(
        load_all(name, site.consent, site.regions).uses_salts
        for name, site in settings.sites.items()
    )
    return [topic.control, topic.salts] if wants_salts else [topic.control]


async def salts_of(
    settings: Settings, key: ErasureKey | None, zones: Zones, now_ms: Callable[[], int]
) -> Salts | None:
    """Give what makes visitor ids of a day; nothing where there is no key to make them with.

    Of days that are over nothing is left in its file then. Raises: Misconfigured, Unavailable."""
    check_key(key, zones())
    if key is None:
        return None
    if settings.log.url == "embedded":
        path = Path(settings.data_dir) / "salts.ndjson"
        await SaltFile(path, now_ms).open()
        return Salts(lambda: SaltFile(path, now_ms), key, zones, now_ms)
    return Salts(lambda: KafkaControl(kafka_topic(settings.log).salts), key, zones, now_ms)


def check_key(key: ErasureKey | None, by_day: Iterable[str]) -> None:
    """Refuse sites whose rules give visitors an id of the day, where there is no key for that.

    Raises: Misconfigured."""
    for site in by_day if key is None else ():
        why = f"is not set, and the rules of site {site} give visitors an id of the day under it"
        raise Misconfigured("erasure.key_file", why)


def kept_control(settings: Settings, lock: str) -> Path:
    """Give the file in which who holds this lock keeps what it knows of the control log."""
    return Path(settings.data_dir) / f"withdrawals-{lock}.sqlite"


def erasure_key(settings: Settings) -> ErasureKey | None:
    """Give the key of erasures; on one machine it is made where there is none. Raises:
    Misconfigured."""
    makes = settings.log.url == "embedded"
    return key_of(settings.erasure, Path(settings.data_dir), makes=makes)


def _file(settings: Settings) -> Path:
    return Path(settings.data_dir) / "log.sqlite"


def kafka_topic(log: LogSettings) -> KafkaTopic:
    """Give the topic that the settings name. Raises: Misconfigured that names a bad file."""
    servers = log.url.removeprefix("kafka://")
    return KafkaTopic(
        servers, log.topic, log.partitions, log.append_deadline_ms, login=login_of(log)
    )


def own_log_id(log: EmbeddedLog | KafkaLog) -> str | None:
    """Give the id a log carries itself; Kafka's is kept by the store alone."""
    return log.log_id if isinstance(log, EmbeddedLog) else None
