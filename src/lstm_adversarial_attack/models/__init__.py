"""The classifiers: from ``[batch, hour, feature]`` values and masks, and static data, to two logits."""

from lstm_adversarial_attack.models.decision import Decision
from lstm_adversarial_attack.models.lstm import Ensemble, LstmClassifier, build
from lstm_adversarial_attack.models.prediction import Classifier, death_probability, predict_logits
from lstm_adversarial_attack.models.storage import load_model, save_weights

__all__ = [
    "Classifier",
    "Decision",
    "Ensemble",
    "LstmClassifier",
    "build",
    "death_probability",
    "load_model",
    "predict_logits",
    "save_weights",
]
