"""Stage ``tune``: search the classifier's hyperparameters on validation patients."""
