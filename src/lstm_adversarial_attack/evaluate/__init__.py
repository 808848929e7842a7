"""The ``evaluate`` stage: what the model is worth, what the attack found, and a report that says both.

``inputs`` holds what comes in, ``results`` the numbers that go out, ``analysis`` leads from one to the other,
``report`` writes them as one HTML page.
"""
