"""Kafka itself, from Maven Central, and what must be installed to run it.

Needs Java 17 or newer and Maven. The jars are fetched once and kept in the user's cache directory.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

KAFKA_VERSION = "4.3.1"

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>test</groupId><artifactId>broker</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId>
      <artifactId>kafka-tools</artifactId><version>{KAFKA_VERSION}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId><version>2.25.4</version></dependency>
  </dependencies>
</project>
"""


def what_is_missing() -> str | None:
    """One line about what must be installed, None if a broker can be started."""
    java, maven = shutil.which("java"), shutil.which("mvn")
    if java is None or maven is None:
        return "Kafka tests need Java 17 or newer and Maven: install a JDK and mvn"
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    version = answer.stderr.partition('"')[2].partition('"')[0].partition(".")[0]
    if not version.isdigit() or int(version) < 17:
        return f"Kafka tests need Java 17 or newer, java -version says {version or 'nothing'}"
    return None


def kafka_jars() -> Path:
    """The directory with Kafka's jars; complete, whoever else is fetching them at the same time."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "beleg-test"
    jars = cache / f"kafka-{KAFKA_VERSION}"
    if jars.is_dir():
        return jars
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as name:
        directory = Path(name)
        (directory / "pom.xml").write_text(_POM)
        subprocess.run(
            [
                *("mvn", "-q", "-B", "dependency:copy-dependencies"),
                *("-DincludeScope=runtime", "-DoutputDirectory=libs"),
            ],
            cwd=directory,
            check=True,
        )
        try:
            (directory / "libs").rename(jars)
        except OSError:
            if not jars.is_dir():  # else another run was faster, and has the same
                raise
    return jars
