"""Apache Kafka's own jars: fetched once by Maven, kept outside the repository.

In: a version. Out: the directory that holds the jars. Never: a half-filled directory (they arrive under another name and are renamed).
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

KAFKA_VERSION = "4.1.0"
FETCH_S_MAX = 600
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>tracebraid</groupId><artifactId>broker</artifactId><version>1</version>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version></dependency></dependencies></project>
"""


def missing_tool() -> str:
    """Why the jars cannot be run or had here; '' where they can."""
    if not shutil.which("java"):
        return "no java on the path"
    if not cached() and not shutil.which("mvn"):
        return f"no mvn on the path, and no jars in {cache_directory()}"
    return ""


def cache_directory() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "tracebraid" / f"kafka-{KAFKA_VERSION}"


def cached() -> bool:
    return (cache_directory() / f"kafka_2.13-{KAFKA_VERSION}.jar").exists()


def kafka_jars() -> Path:
    """The directory with Kafka and all it needs. Raises RuntimeError with Maven's last words where they cannot be had."""
    target = cache_directory()
    if cached():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        (Path(scratch) / "pom.xml").write_text(POM.format(version=KAFKA_VERSION))
        jars = Path(scratch) / "jars"
        command = ["mvn", "-q", "-B", "-f", f"{scratch}/pom.xml", "dependency:copy-dependencies", f"-DoutputDirectory={jars}", "-DincludeScope=runtime"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_S_MAX, check=False)
        if done.returncode:
            raise RuntimeError(f"Maven could not fetch Kafka {KAFKA_VERSION}: {(done.stdout + done.stderr).strip()[-500:]}")
        try:
            jars.rename(target)
        except OSError:
            if not cached():  # another process was first; its copy is as good
                raise
    return target
