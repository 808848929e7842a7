"""`lstm-aa check-attack`: attack again in other ways, and report on all together."""
