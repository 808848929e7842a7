"""Slips that people make when they write a value down."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import cache

from lstm_adversarial_attack.catalogue import Measurement

#: Kinds of slip, in the order in which the first that leads to a value gives it its name.
SLIPS = ("unit", "transposed", "dropped", "point", "copied")
_POINTS = (10.0, 0.1, 100.0, 0.01)


def slips(value: float, measurement: Measurement) -> list[tuple[str, float]]:
    """Return what a charted value of a measurement may become by one slip, but for a copy: kind and new value.

    unit: the number that another unit has, of those that the catalogue says are mistaken for the measurement's own.
    transposed: two digits next to one another change places. dropped: a digit is left out. point: the decimal point is
    one or two places off. A value between two steps is taken as it would be charted. What the pipeline would not
    accept, or cannot be charted, is no slip here; nor is what stays the same.
    """
    found: dict[float, str] = {}
    charted = _on(measurement.precision, value)
    for kind, number in _numbers(charted, measurement):
        if number not in (value, charted) and number not in found and measurement.accepts(number):
            found[number] = kind
    return [(kind, number) for number, kind in found.items()]


def _numbers(value: float, measurement: Measurement) -> Iterator[tuple[str, float]]:
    precision = measurement.precision
    for unit in measurement.mistaken:
        yield "unit", _on(precision, (value + unit.add) * unit.multiply)
    text = _text(value, precision)
    if text is None:
        return
    for first, second in zip(_digits(text), _digits(text)[1:], strict=False):
        swapped = list(text)
        swapped[first], swapped[second] = text[second], text[first]
        leads = first == 0 and text[second] == "0" and second == 1  # what begins with 0 has lost a digit
        if not leads:
            yield "transposed", float("".join(swapped))
    for place in _digits(text):
        rest = text[:place] + text[place + 1 :]
        if any(sign.isdigit() for sign in rest):
            yield "dropped", float(rest)
    for factor in _POINTS:
        moved = value * factor
        if abs(_on(precision, moved) - moved) <= 1e-6 * precision or factor < 1:
            yield "point", _on(precision, moved)


@cache
def _decimals(precision: float) -> int:
    exponent = Decimal(repr(precision)).normalize().as_tuple().exponent
    return max(0, -int(exponent))


def _text(value: float, precision: float) -> str | None:
    """Return the digits of a value as they are charted, without a sign; None where there are none to speak of."""
    return None if value < 0 else f"{_on(precision, value):.{_decimals(precision)}f}"


def _digits(text: str) -> list[int]:
    return [place for place, sign in enumerate(text) if sign.isdigit()]


def _on(precision: float, value: float) -> float:
    """Return the next value that can be charted."""
    return round(round(value / precision) * precision, 9)
