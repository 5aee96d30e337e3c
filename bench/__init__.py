"""Measurements against named baselines, in one run."""
