"""Searching settings with Optuna: in this process or in several, with a journal file or in PostgreSQL.

A search with a journal in one process is repeatable: its sampler is seeded anew for every trial, and a trial that a
kill has cut off is dropped and drawn again. Searches that share a study try such a trial again as it was.
"""

from lstm_adversarial_attack.search.core import search
from lstm_adversarial_attack.search.place import Journal, Place
from lstm_adversarial_attack.search.places import JOURNAL, place_of, workers_of
from lstm_adversarial_attack.search.trials import START_UP_TRIALS, Attempt, Objective, Plan

__all__ = [
    "JOURNAL",
    "START_UP_TRIALS",
    "Attempt",
    "Journal",
    "Objective",
    "Place",
    "Plan",
    "place_of",
    "search",
    "workers_of",
]
