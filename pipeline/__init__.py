"""Verbs: one folder a stage; flow.py has them in order."""
