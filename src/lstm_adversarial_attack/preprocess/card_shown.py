"""How a data card shows numbers, and what it does not show: counts of so few patients that they may be known."""

from __future__ import annotations

import math

import numpy as np

from lstm_adversarial_attack.catalogue import Conversion, Limits, Measurement
from lstm_adversarial_attack.preprocess.hourly import Int, Mask

#: Counts from 1 to below this are not shown as numbers.
FEW = 5
FEW_SHOWN = f"<{FEW}"
#: What stands for an undefined number.
UNDEFINED = "\N{EN DASH}"
_MINUS, _TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return the number with its noun, such as ``1 patient`` or ``1,204 patients``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def is_few(count: int) -> bool:
    """Tell whether a count is too small to be shown."""
    return 0 < count < FEW


def is_some_few(counts: Int) -> Mask:
    """Tell which of some counts are too small to be shown."""
    return (counts > 0) & (counts < FEW)


def few(count: int) -> str:
    """Return a count, or that it is small."""
    return FEW_SHOWN if is_few(count) else f"{count:,}"


def percent(share: float) -> str:
    """Return a share as a percentage with one decimal; what is not quite nothing or all is never shown as that."""
    if 0 < share < 0.0005:
        return "<0.1 %"
    if 0.9995 <= share < 1:
        return ">99.9 %"
    return f"{100 * share:.0f} %" if share in (0, 1) else f"{100 * share:.1f} %"


def few_percent(count: int, whole: int) -> str:
    """Return a count as a percentage of ``whole``; of a small count only below which percentage it lies."""
    if whole == 0:
        return UNDEFINED
    return f"<{_round_up(100 * FEW / whole)} %" if is_few(count) else percent(count / whole)


def _round_up(value: float) -> str:
    """Return a number of at most two decimals that is no less than ``value``, and at most 100."""
    step = 10.0 ** max(-2, math.floor(math.log10(value)) - 1)
    return f"{min(100.0, math.ceil(value / step - 1e-9) * step):.3g}"


def few_of(count: int, whole: int) -> str:
    """Return a count with its percentage of ``whole``."""
    return few(count) if count == 0 else f"{few(count)} ({few_percent(count, whole)})"


def number(value: float, decimals: int) -> str:
    """Return a number with so many decimals."""
    shown = f"{value:,.{decimals}f}"
    return shown.replace("-", _MINUS if shown.strip("-0.") else "")


def plain(value: float) -> str:
    """Return a number with the digits it needs, at most six."""
    return f"{value:,.6g}".replace("-", _MINUS)


def charted_decimals(precision: float) -> int:
    """Return the decimals in which a measurement is charted."""
    return max(0, -math.floor(math.log10(precision) + 1e-9))


def unit(word: str) -> str:
    """Return a unit as a reader sees it: none for a pure number."""
    return "" if word == "1" else word


def limits(accepted: Limits) -> str:
    """Return limits in words such as ``> 0, ≤ 300``, with spaces that do not break a line."""
    parts = ((">", accepted.gt), ("≥", accepted.ge), ("<", accepted.lt), ("≤", accepted.le))
    return ", ".join(f"{sign}\N{NO-BREAK SPACE}{plain(value)}" for sign, value in parts if value is not None) or "any"


def conversion(change: Conversion) -> str:
    """Return a change of unit as a formula of x; nothing where there is none."""
    if change == Conversion():
        return ""
    shifted = f"x {'+' if change.add > 0 else _MINUS} {plain(abs(change.add))}" if change.add else "x"
    if change.multiply == 1:
        return shifted
    return f"{f'({shifted})' if change.add else 'x'} {_TIMES} {plain(change.multiply)}"


def accepted_range(measurement: Measurement) -> str:
    """Return the accepted limits of all sources in the measurement's own unit, the same ones once."""
    found = dict.fromkeys(limits(_converted(source.accepted, source.conversion)) for source in measurement.sources)
    return "; ".join(found)


def _converted(accepted: Limits, change: Conversion) -> Limits:
    values = (accepted.gt, accepted.ge, accepted.lt, accepted.le)
    converted = (None if value is None else (value + change.add) * change.multiply for value in values)
    return Limits(*(None if value is None else float(f"{value:.4g}") for value in converted))


def withheld(patients: Int) -> Mask:
    """Return which cells of a table [row, column] are not shown, where every row and column has a known sum.

    These are the cells of few patients, and where one alone in its row or column could be worked out from the
    rest, a second one too: if possible one where another is hidden already, and then the smallest.
    """
    hidden = is_some_few(patients)
    while True:
        before = int(hidden.sum())
        _hide_second(hidden, patients)
        _hide_second(hidden.T, patients.T)
        if int(hidden.sum()) == before:
            return hidden


def _hide_second(hidden: Mask, counts: Int) -> None:
    """Hide a second cell in each row where one alone is hidden and another is not empty."""
    for row in np.flatnonzero(hidden.sum(axis=1) == 1):
        shown = np.flatnonzero(~hidden[row] & (counts[row] > 0))
        if shown.size:
            alone = ~hidden[:, shown].any(axis=0)
            hidden[row, shown[np.lexsort((counts[row, shown], alone))[0]]] = True
