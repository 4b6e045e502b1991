"""Three ways to run the one registry of steps: DVC, Airflow and Kubeflow Pipelines."""
