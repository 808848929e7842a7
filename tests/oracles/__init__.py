"""Slow, plain versions of what the package does, to test and to time it against."""
