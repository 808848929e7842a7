"""The stages as components of Kubeflow Pipelines: a folder each, with the spec and its contract."""
