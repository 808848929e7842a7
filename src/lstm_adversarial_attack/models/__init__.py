"""The classifiers: from ``[batch, hour, feature]`` values and masks to two logits."""

from lstm_adversarial_attack.models.decision import Decision
from lstm_adversarial_attack.models.lstm import LstmClassifier
from lstm_adversarial_attack.models.prediction import death_probability, predict_logits
from lstm_adversarial_attack.models.storage import load_model, save_weights

__all__ = ["Decision", "LstmClassifier", "death_probability", "load_model", "predict_logits", "save_weights"]
