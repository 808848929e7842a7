"""Stage ``extract``: from an ICU database to stays and their measurements, without dates."""
