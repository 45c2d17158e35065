"""What is measured without any rule: rate, errors and duration of every operation, and every service's logs.

In: nothing. Out: measures, of which table `windows` is made. Never: a label without a bound on its values.
"""

from tracebraid.pipeline.rules.measures import Measure
from tracebraid.schemas.rule import MINUTE_US

OPERATIONS = Measure("spans", ("service_name", "route", "kind"), MINUTE_US, columns=("duration_ns",), max_series=20_000)
LOGS = Measure("logs", ("service_name", "severity"), MINUTE_US)
STANDING = (OPERATIONS, LOGS)
