"""Judging a policy: metrics with intervals, the verdict, and the report for people."""
