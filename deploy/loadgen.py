"""The simulated shop as a load generator: it sends OTLP over HTTP to a Collector at the pace of the clock, until stopped.

In: OTEL_EXPORTER_OTLP_ENDPOINT, and as first argument traces a minute (default 600). Out: POSTs to /v1/traces and /v1/logs. Never: Kafka.
"""

import os
import sys
import time
import urllib.error
import urllib.request

from tracebraid.jobs.shop import Plan, simulate

PATHS = {"otlp_spans": "/v1/traces", "otlp_logs": "/v1/logs"}


def main() -> None:
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318").rstrip("/")
    plan = Plan(time.time_ns(), seed=time.time_ns(), minutes=7 * 24 * 60, traces_per_minute=float(sys.argv[1]) if len(sys.argv) > 1 else 600.0)
    for message in simulate(plan):
        if message.topic in PATHS:
            time.sleep(max(0.0, message.timestamp_ms / 1000 - time.time()))
            send(endpoint + PATHS[message.topic], message.value)


def send(url: str, body: bytes) -> None:
    """POST until it is taken; what the Collector refuses as malformed is left out, for the shop also sends garbage."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/x-protobuf"})
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10):
                return
        except urllib.error.HTTPError as error:
            if error.code == 400:
                return
            print(f"{url}: {error}; trying again", file=sys.stderr)
        except OSError as error:
            print(f"{url}: {error}; trying again", file=sys.stderr)
        time.sleep(1)


if __name__ == "__main__":
    main()
