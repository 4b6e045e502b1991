"""Airflow DAGs; no logic lives here that a step does not have."""
