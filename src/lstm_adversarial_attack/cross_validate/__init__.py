"""Cross-validation: a way of training, repeated over folds of patients and seeds, beside the baselines."""
