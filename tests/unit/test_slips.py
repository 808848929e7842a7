"""Slips of a hand that writes values down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_adversarial_attack.attack.slips import SLIPS, slips
from lstm_adversarial_attack.catalogue import Conversion, Limits, Measurement, Source, load_catalogue

ACCEPTED = Limits(ge=0, le=1000)


def measurement(precision: float, *mistaken: Conversion, accepted: Limits = ACCEPTED) -> Measurement:
    source = Source("labevents", (1,), accepted)
    return Measurement("", "", 5.0, precision, (1.0, 900.0), (source,), mistaken=mistaken)


@pytest.mark.parametrize(
    ("value", "precision", "expected"),
    [
        (
            142.0,
            1.0,
            {
                "transposed": {412.0, 124.0},
                "dropped": {42.0, 12.0, 14.0},
                "point": {1.0},
            },
        ),
        (
            7.35,
            0.01,
            {
                "transposed": {3.75, 7.53},
                "dropped": {0.35, 7.5, 7.3},
                "point": {73.5, 735.0, 0.74, 0.07},
            },
        ),
        (4.1, 0.1, {"transposed": {1.4}, "dropped": {0.1, 4.0}, "point": {41.0, 410.0, 0.4, 0.0}}),
        (88.0, 1.0, {"dropped": {8.0}, "point": {880.0, 9.0, 1.0}}),
    ],
)
def test_digits(value: float, precision: float, expected: dict[str, set[float]]) -> None:
    found = slips(value, measurement(precision))
    by_kind = {kind: {new for name, new in found if name == kind} for kind, _ in found}
    if value == 142.0:  # 1420 is not accepted; 14 is a dropped digit before it is a point that is off
        assert 14.0 not in by_kind["point"]
    assert by_kind == expected


def test_units() -> None:
    glucose = load_catalogue().measurements["glucose"]
    assert ("unit", 8.0) in slips(140.0, glucose)  # 140 mg/dL are 7.8 mmol/L, and glucose is charted in whole numbers
    fahrenheit = measurement(0.1, Conversion(add=160 / 9, multiply=1.8))
    assert ("unit", 98.6) in slips(37.0, fahrenheit)


def test_what_the_pipeline_drops_is_no_slip() -> None:
    found = slips(7.35, measurement(0.01, accepted=Limits(ge=6.5, le=8)))
    assert {new for _, new in found} == {7.53, 7.5, 7.3}


def test_limits_hold_in_the_unit_of_the_items() -> None:
    fraction = Source("labevents", (1,), Limits(gt=0.2, lt=1), Conversion(multiply=100.0))
    entry = Measurement("", "%", 21.0, 1.0, (21.0, 99.0), (fraction,))
    assert [entry.accepts(value) for value in (20.0, 20.5, 99.0, 100.0)] == [False, True, True, False]
    either = Measurement("", "%", 21.0, 1.0, (21.0, 99.0), (fraction, Source("labevents", (2,), Limits(ge=5, le=7))))
    assert [either.accepts(value) for value in (4.0, 5.0, 7.0, 8.0)] == [False, True, True, False]


@given(
    name=st.sampled_from(sorted(load_catalogue().measurements)),
    share=st.floats(0, 1),
)
def test_slips_can_be_charted_and_differ(name: str, share: float) -> None:
    entry = load_catalogue().measurements[name]
    low, high = entry.physiological
    steps = round((low + share * (high - low)) / entry.precision)
    value = round(steps * entry.precision, 9)
    found = slips(value, entry)
    assert len({new for _, new in found}) == len(found)
    for kind, new in found:
        assert kind in SLIPS
        assert new != value
        assert entry.accepts(new)
        assert round(new / entry.precision) * entry.precision == pytest.approx(new, abs=1e-9)
