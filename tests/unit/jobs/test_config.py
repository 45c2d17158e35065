"""`tracebraid config`: what it prints, where, and its exit codes."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

from tracebraid.jobs.config import as_toml
from tracebraid.pipeline.kernel.settings import Settings


def run(*arguments: str, **environ: str) -> tuple[int, str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TRACEBRAID_")}
    done = subprocess.run([sys.executable, "-m", "tracebraid", "config", *arguments], env={**clean, **environ}, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_toml_reads_back_as_what_was_masked() -> None:
    settings = Settings.model_validate(
        {
            "lake": 'a "quoted" \\ lake\x7f\n é',
            "topics": [{"name": "a", "encoding": "text"}, {"pattern": "b.*"}],
            "client": {"sasl.password": "x", "client.id": "y"},
            "ingest": {"flush_age_s": 3.5},
        }
    )
    assert tomllib.loads(as_toml(settings)) == settings.masked()


def test_show_gives_value_and_origin(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text('tenant = "file"', encoding="utf-8")
    code, out, err = run(
        "show", "--config", str(path), TRACEBRAID_LAKE="/srv/lake", TRACEBRAID_STORAGE_OPTIONS__AWS_SECRET_ACCESS_KEY="hidden", TRACEBRAID_LAEK="x"
    )
    lines = out.splitlines()
    assert code == 0
    assert 'lake = "/srv/lake"  # TRACEBRAID_LAKE' in lines
    assert f'tenant = "file"  # {path}' in lines
    assert "flush_mib = 20  # default" in lines
    assert 'aws_secret_access_key = "***"  # TRACEBRAID_STORAGE_OPTIONS__AWS_SECRET_ACCESS_KEY' in lines
    assert err == "tracebraid: warning: TRACEBRAID_LAEK is no setting (did you mean TRACEBRAID_LAKE?); it is ignored\n"


def test_show_json_is_one_object_a_setting() -> None:
    code, out, err = run(
        "show", "--json", TRACEBRAID_LAKE="/srv/lake", TRACEBRAID_CLIENT__SASL_PASSWORD="hidden", TRACEBRAID_CLIENT__SECURITY_PROTOCOL="SASL_SSL"
    )
    rows = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert {"setting": "lake", "value": "/srv/lake", "origin": "TRACEBRAID_LAKE"} in rows
    assert {"setting": "client.sasl.password", "value": "***", "origin": "TRACEBRAID_CLIENT__SASL_PASSWORD"} in rows
    assert {"setting": "log.level", "value": "info", "origin": "default"} in rows


def test_check_exits_0_with_warnings_on_standard_error() -> None:
    code, out, err = run("check", TRACEBRAID_INGEST__FLUSH_AGE_S="1")
    assert (code, out) == (0, "settings hold, 1 warning\n")
    assert err == "tracebraid: warning: ingest.flush_age_s is 1: that makes many small files; 15 is the default\n"


def test_check_exits_2_with_one_line() -> None:
    code, out, err = run("check", TRACEBRAID_HTTP__PORT="http")
    assert (code, out) == (2, "")
    assert err.startswith("tracebraid: TRACEBRAID_HTTP__PORT is 'http': ")
    assert err.count("\n") == 1
