"""What a run is remembered by: MLflow and TensorBoard, beside the artifacts and never in their way.

`stage.carry_out` hands over what a stage tells while it works and the artifact that it has sealed. All else happens in
a process of its own (`worker`), so that a server that is down, slow or silent can neither fail nor stall a stage:
what hangs is ended with that process. Where to is told by the environment alone, because addresses hold passwords.
"""

from lstm_adversarial_attack.tracking.tracker import StageTracker, Tracker

__all__ = ["StageTracker", "Tracker"]
