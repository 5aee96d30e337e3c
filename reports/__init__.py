"""Rows in, answers out: the read endpoint and the KPI queries."""
