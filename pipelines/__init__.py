"""The stages as pipelines of Kubeflow: compile, submit, schedule."""
