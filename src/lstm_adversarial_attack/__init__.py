"""Predict in-hospital death from the first 48 hours of intensive care, and attack the prediction."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("lstm-adversarial-attack")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
