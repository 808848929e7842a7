"""Fetching the open data sets over HTTPS: what has come is kept, and nothing counts before its checksum holds.

`core.fetch_release` is the way in; it needs urllib3 (extra ``fetch``), which nothing else of the package does.
"""
