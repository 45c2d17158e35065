"""The files for Docker, without Docker: held against the Compose specification, our own commands and settings, and the real Collector."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.brokers import collector as collectors
from tests.tidy.commands import problem
from tracebraid.pipeline.kernel.environment import load_settings

COMPOSE_GO = "github.com/compose-spec/compose-go/v2@v2.16.2"  # carries the specification's JSON schema


@pytest.fixture(scope="module")
def compose(root: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((root / "docker-compose.yml").read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="module")
def collector(root: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((root / "deploy" / "collector.yaml").read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="module")
def instructions(root: Path) -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continuation lines joined."""
    text = re.sub(r"\\\n\s*", "", (root / "deploy" / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


@pytest.fixture(scope="module")
def specification(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The Compose specification as JSON schema, as compose-go's module carries it."""
    if not shutil.which("go"):
        pytest.skip("needs Go, to fetch the Compose specification with compose-go")
    folder = tmp_path_factory.mktemp("compose-go")
    environ = {**os.environ, "GOFLAGS": "-mod=mod", "GOWORK": "off"}
    done = subprocess.run(["go", "mod", "download", "-json", COMPOSE_GO], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        pytest.skip(f"needs {COMPOSE_GO}, which Go could not fetch")
    schema: dict[str, Any] = json.loads((Path(json.loads(done.stdout)["Dir"]) / "schema" / "compose-spec.json").read_text(encoding="utf-8"))
    return schema


@pytest.fixture(scope="module")
def otelcol() -> str:
    """A Collector with the Kafka exporter."""
    path = collectors.binary()
    if path is None:
        pytest.skip(collectors.NEEDED)
    return path


def test_it_is_compose(compose: dict[str, Any], specification: dict[str, Any]) -> None:
    jsonschema.validate(compose, specification)


def test_the_specification_refuses_what_is_not_compose(compose: dict[str, Any], specification: dict[str, Any]) -> None:
    service = {**compose["services"]["kafka"], "health_check": {}}
    with pytest.raises(jsonschema.ValidationError, match="health_check"):
        jsonschema.validate({**compose, "services": {"kafka": service}}, specification)


def test_references_between_services_hold(compose: dict[str, Any], root: Path) -> None:
    services = compose["services"]
    for name, service in services.items():
        for needed, condition in service.get("depends_on", {}).items():
            assert needed in services, name
            assert condition["condition"] != "service_healthy" or "test" in services[needed]["healthcheck"], name
            assert condition["condition"] != "service_completed_successfully" or services[needed]["restart"] == "no", name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert (root / source).exists() if source.startswith(".") else source in compose["volumes"], f"{name}: {volume}"
        if "build" in service:
            assert (root / service["build"]["context"] / service["build"]["dockerfile"]).is_file(), name
        assert ":" in service["image"], f"{name}: no version"


def test_every_command_is_one_of_ours(compose: dict[str, Any]) -> None:
    ours = {name: service["command"] for name, service in compose["services"].items() if "build" in service and "entrypoint" not in service}
    assert set(ours) == {"topics", "ingest", "tracebraid"}
    assert {name: problem(command) for name, command in ours.items()} == dict.fromkeys(ours, "")


def test_a_command_that_is_not_ours_is_found() -> None:
    assert problem(["ingets"]).startswith("No such command 'ingets'.")
    assert problem(["config", "shwo"]).startswith("No such command 'shwo'.")
    assert problem(["config", "show", "--jsn"]).startswith("No such option '--jsn'")


def test_settings_in_the_environment_are_settings(compose: dict[str, Any]) -> None:
    ours = [service for service in compose["services"].values() if "TRACEBRAID_LAKE" in service.get("environment", {})]
    assert len(ours) == 3
    for service in ours:
        settings = load_settings(None, service["environment"])
        assert settings.warnings() == []
        assert [topic.name for topic in settings.topics] == ["otlp_spans", "otlp_logs"]
        assert settings.bootstrap_servers == "kafka:29092"


def test_the_brokers_inside_address_is_the_one_that_is_used(compose: dict[str, Any]) -> None:
    services = compose["services"]
    inside = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")[0].removeprefix("INSIDE://")
    assert inside == services["collector"]["environment"]["KAFKA_BROKERS"] == services["ingest"]["environment"]["TRACEBRAID_BOOTSTRAP_SERVERS"]


def test_the_collector_writes_what_is_neither_lost_nor_scattered(collector: dict[str, Any]) -> None:
    kafka = collector["exporters"]["kafka"]
    assert kafka["partition_traces_by_id"] is True
    assert kafka["partition_logs_by_trace_id"] is True
    assert kafka["producer"]["required_acks"] == -1
    assert kafka["producer"]["compression"] == "zstd"
    assert kafka["sending_queue"]["batch"]["sizer"] == "bytes"
    assert kafka["sending_queue"]["batch"]["max_size"] < kafka["producer"]["max_message_bytes"]
    assert set(collector["service"]["pipelines"]) == {"traces", "logs"}


def test_the_real_collector_accepts_its_configuration(otelcol: str, root: Path) -> None:
    environ = {**os.environ, "KAFKA_BROKERS": "127.0.0.1:9092"}
    command = [otelcol, "validate", "--config", str(root / "deploy" / "collector.yaml")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_image_is_slim_pinned_and_not_root(instructions: list[tuple[str, str]]) -> None:
    values = {name: [value for found, value in instructions if found == name] for name in ("FROM", "USER", "RUN", "ENTRYPOINT", "HEALTHCHECK")}
    assert len(values["FROM"]) == 2
    assert all("-slim" in value for value in values["FROM"])
    assert [user not in {"root", "0"} for user in values["USER"]] == [True]
    assert instructions.index(("USER", values["USER"][0])) > max(number for number, (name, _) in enumerate(instructions) if name == "RUN")
    installs = [value for value in values["RUN"] if "pip install" in value]
    assert all("--constraint constraints.txt" in part for value in installs for part in value.split("&&") if "pip install" in part)
    assert values["ENTRYPOINT"] == ['["tracebraid"]']
    assert "/healthz" in values["HEALTHCHECK"][0]


def test_the_image_holds_what_it_copies(instructions: list[tuple[str, str]], root: Path) -> None:
    ignore = (root / "deploy" / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    sources = [source for name, value in instructions if name == "COPY" and "--from" not in value for source in shlex.split(value)[:-1]]
    assert {"schemas", "pipeline", "jobs", "tracebraid", "constraints.txt"} <= set(sources)
    for source in sources:
        assert (root / source).exists()
        assert f"!{source}" in ignore
