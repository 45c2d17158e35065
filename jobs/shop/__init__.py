"""A shop that does not exist: a dozen services whose spans and logs are what real ones would send, from a seed.

In: a Plan. Out: `simulate(plan)`, the Kafka records in the order of their event time. Never: a clock, a file, a socket, a library of Kafka's.
"""

from tracebraid.jobs.shop.simulate import Message, Plan, simulate

__all__ = ["Message", "Plan", "simulate"]
