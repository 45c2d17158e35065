"""What a job's start takes with it: each module that is not needed is time before the first record."""

import json
import os
import subprocess
import sys
from typing import Any

# Modules that a lake alone does without, or that are imported once they are asked for.
LATER = {"duckdb", "fastavro", "lark", "numba", "obstore", "rich.progress", "tracebraid.pipeline.rulebook", "urllib3", "yaml"}
SEEN = """
import gc, json, os, sys
import click
from tracebraid.jobs.main import tracebraid
early = "numpy" in sys.modules
tracebraid.get_command(click.Context(tracebraid), sys.argv[1])
import pyarrow
pool = pyarrow.default_memory_pool().backend_name
print(json.dumps([early, sorted(sys.modules), os.environ["OPENBLAS_NUM_THREADS"], gc.isenabled(), gc.get_freeze_count(), pool]))
"""


def started(job: str, **variables: str) -> Any:
    environment = {name: value for name, value in os.environ.items() if name not in ("OPENBLAS_NUM_THREADS", "ARROW_DEFAULT_MEMORY_POOL")} | variables
    return json.loads(subprocess.run([sys.executable, "-c", SEEN, job], env=environment, capture_output=True, text=True, check=True).stdout)


def test_ingest_starts_with_what_a_lake_needs_one_thread_of_blas_and_the_systems_memory() -> None:
    early, modules, blas, collecting, frozen, pool = started("ingest")
    # Frozen, DuckDB's classes would be left at the end, and it says so on stderr.
    assert (early, LATER & set(modules), blas, collecting, frozen, pool) == (False, set(), "1", True, 0, "system")


def test_what_the_user_says_of_libraries_stays() -> None:
    of_user = started("config", OPENBLAS_NUM_THREADS="3", ARROW_DEFAULT_MEMORY_POOL="mimalloc")
    assert (of_user[2], of_user[5]) == ("3", "mimalloc")
