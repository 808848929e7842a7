"""The classifier as MLflow loads it: this file goes into the logged model, beside weights and architecture.

Models from code: no object is pickled. The package's own modules travel with the model (``code_paths``), so the same
code computes the same logits.
"""

from __future__ import annotations

from typing import Any

import mlflow
import msgspec
import numpy as np
import torch
from mlflow.pyfunc.model import PythonModel
from safetensors.torch import load_file

from lstm_adversarial_attack.artifacts.contents import ModelCard
from lstm_adversarial_attack.models import build, death_probability
from lstm_adversarial_attack.models.calibration import calibrated

#: What the model reads, in the order of the classifier's arguments; the last two where it has static data.
INPUTS = ("values", "observed", "static", "static_observed")


class Classifier(PythonModel):
    """Arrays by their names (`INPUTS`) to logits and probabilities."""

    def load_context(self, context: Any) -> None:
        """Build the classifier from ``model.json`` and load ``weights.safetensors`` into it."""
        with open(context.artifacts["card"], "rb") as file:  # noqa: PTH123 - a path as MLflow gives it
            self._card = msgspec.json.decode(file.read(), type=ModelCard)
        self._model = build(self._card.architecture)
        self._model.load_state_dict(load_file(context.artifacts["weights"]))
        self._model.eval()

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ARG002
        """Return logits, the probability of death, and that probability as mended on validation patients.

        ``logits`` [sample, 2] float32 are of survival and death, ``probability`` and ``calibrated`` [sample] float64.
        ``model_input`` holds ``values`` [sample, hour, feature] float32 in standardised units, ``observed`` of that
        shape, bool, and where the classifier reads static data, ``static`` [sample, column] float32 and
        ``static_observed`` of that shape, bool. (MLflow takes type hints for a schema to check against; what these
        arrays are is told by the signature.)
        """
        given = [torch.from_numpy(np.ascontiguousarray(model_input[name])) for name in INPUTS if name in model_input]
        with torch.no_grad():
            logits = self._model(*given)
        probability = death_probability(logits).numpy()
        mended = calibrated(self._card.calibration, probability)
        return {"logits": logits.numpy(), "probability": probability, "calibrated": mended}


mlflow.models.set_model(Classifier())
