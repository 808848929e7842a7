"""Stage ``attack-tune``: search the attack's settings on validation patients."""
