"""Stage ``train``: fit the classifier, choose its threshold on validation, judge it on held-out patients."""
