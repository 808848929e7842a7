"""Stage ``preprocess``: from events to tensors, scaled and split by patient."""
