"""MIMIC-III built in PostgreSQL from the CSV files of the release."""

from lstm_adversarial_attack.database.load import load_database
from lstm_adversarial_attack.database.release import Release
from lstm_adversarial_attack.database.result import LoadResult, NotLoaded, TableLoad

__all__ = ["LoadResult", "NotLoaded", "Release", "TableLoad", "load_database"]
