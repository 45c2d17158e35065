"""Every number of the simulated fleet. Shares without a unit, minutes where nothing is said; (a, b): drawn evenly from a to b, by fleet, service or event.

Nothing here may be chosen by looking at what the rules find: fleets 0 to 99 are there to tune rules on, 100 to 199 to be looked at once.
"""

FLEETS = range(200)
TUNED_ON = range(100)

# Time: minutes since the fleet's beginning.
WARM = 2 * 1440  # learned from; alerts in it are counted apart
SCORED = 1440
START_US = 1_700_006_400_000_000  # a midnight, UTC

# Services and routes.
SERVICES = (8, 12)
CALLERS = (1, 2)  # services that call one; the first is called by users
CALLED = (0.3, 0.9)  # share of a caller's requests that call it
BUSY, MEDIUM, SPARSE = (30.0, 120.0), (8.0, 40.0), (0.3, 4.0)  # requests a minute of a service's routes, evenly in the logarithm
SPARSE_SHARE = 0.5  # of services with a sparse route beside the two others
MEDIAN_MS = (8.0, 120.0)
SIGMA = (0.25, 0.6)  # of the logarithm of a request's time
ERRORS = (0.0005, 0.01)
LOGS = (1.0, 3.0)  # lines a request
LOG_ERRORS = 1.5  # lines of severity ERROR a failed request
LOG_MISSING = (0.0, 0.05)  # share of lines without a trace id

# Innocence.
DAILY = (0.2, 0.7)  # amplitude of the day's load
WANDER = 0.05  # the load's slow noise: standard deviation of its logarithm, half of it gone in ten minutes
HEAVY_SHARE, HEAVY_ROWS, HEAVY_ALPHA, HEAVY_MAX_S = 0.2, 0.01, 1.5, 30.0  # routes, their requests, the tail of those
DEPLOYS = 0.3  # fleets with one that lastingly changes the level
DEPLOY_FACTOR = (1.5, 2.5)
RESTARTS = 3  # a fleet and day
RESTART_RATE, RESTART_SLOW, RESTART_MINUTES = (0.4, 0.8), (1.5, 3.0), 1
SKEWS = 0.3  # fleets with a pod whose clock goes wrong for hours
SKEW_LOST, SKEW_MINUTES = (0.03, 0.15), 240  # what comes too late, stamped in minutes that are over

# Faults: at most one in each of so many parts of the scored day.
PARTS = 4
FAULT_SHARE = 0.8
NO_FAULT_EVERY = 10  # each tenth fleet has none
MINUTES = (10, 30)
GRACE = 5  # an alert so long after a fault's end still tells of it
ECHO = 65  # later than that it is an echo of it, on what it touched: the widest window and the grace
STEP = (3.0, 8.0)
RAMP = (5.0, 10.0)
BURST = (0.15, 0.5)
COLLAPSE = (0.02, 0.2)
CANARY_PODS, CANARY_SLOW, CANARY_ERRORS = (0.1, 0.3), (4.0, 10.0), (0.2, 0.6)
MISSING = (0.5, 1.0)
GC_ROWS, GC_MS = (0.03, 0.08), (800.0, 2500.0)
TIMEOUT_MS, TIMEOUT_SHARE, TIMEOUT_ERRORS = 3000.0, (0.3, 0.9), 0.8
RETRY_ERRORS, RETRY_RATE, RETRY_SLOW = (0.2, 0.5), (2.0, 4.0), (1.5, 3.0)
PASSED_ON = 0.7  # share of a callee's failures that fail its caller

# Traces, where the evidence of an alert is looked at.
TRACE_BEFORE = 250  # of the hour before: of the alert's series, and as many of the other routes of its service
TRACE_CLIENTS = 0.7  # services whose calls have spans of their own
TRACE_SIDE_BY_SIDE = 0.3  # services that call all they need at once; the others one after another
TRACE_NETWORK_MS = (0.2, 1.0)  # a call
TRACE_PATIENCE = (0.3, 0.9)  # share of its time after which a call is given up and tried again, in a retry storm
