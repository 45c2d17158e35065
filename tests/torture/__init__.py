"""Torture: real consumers, a real broker, faults at every step of the protocol, and a check that nothing was lost or came twice."""
