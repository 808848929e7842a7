"""The audit: the published reference system's score re-created, and taken apart on held-out patients."""
