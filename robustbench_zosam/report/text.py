"""Numbers and names as a reader expects them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from robustbench_zosam.metrics import Format, Metric
from robustbench_zosam.schema import ComparisonRow

MINUS = "−"
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)


def number(value: float | None, digits: int = 3) -> str:
    """Returns a number with so many significant digits, or a dash.

    Example:
        >>> number(1234.5), number(0.01234), number(None)
        ('1230', '0.0123', '–')
    """
    if value is None:
        return "–"
    if value != 0 and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}".replace("-", MINUS)
    rounded = float(f"{value:.{digits - 1}e}")
    whole = len(str(int(abs(rounded))))
    places = max(digits - whole, 0) if abs(rounded) >= 1 else _places(rounded, digits)
    return f"{rounded:.{places}f}".replace("-", MINUS)


def _places(value: float, digits: int) -> int:
    if value == 0:
        return 0
    exponent = int(f"{value:e}".rpartition("e")[2])
    return digits - 1 - exponent


def percent(share: float | None, places: int = 1) -> str:
    """Returns a share in per cent, without the sign, or a dash.

    Example:
        >>> percent(0.7125), percent(None)
        ('71.2', '–')
    """
    return formatted(share, Format("%", 100, places))


def points(difference: float | None, places: int = 1) -> str:
    """Returns a difference of shares in percentage points, with its sign, or a dash.

    Example:
        >>> points(0.0123), points(-0.02), points(0.0)
        ('+1.2', '−2.0', '0.0')
    """
    return formatted(difference, Format("points", 100, places, signed=True))


def formatted(value: float | None, form: Format) -> str:
    """Returns the value of a metric as its format says, without the unit, or a dash.

    Example:
        >>> formatted(0.0123, Format("points", 100, 1, signed=True)), formatted(3.0, Format())
        ('+1.2', '3.00')
    """
    if value is None:
        return "–"
    scaled = form.scale * value
    if form.decimals is None:
        return f"{scaled:.3g}" if form.trimmed else number(scaled)
    shown = f"{scaled:{'+' if form.signed else ''}.{form.decimals}f}"
    return shown.lstrip("+-") if float(shown) == 0 else shown.replace("-", MINUS)


def capital(words: str) -> str:
    """Returns words with a capital first letter, unless their first word has one inside (mCE)."""
    first = words.partition(" ")[0]
    return words[:1].upper() + words[1:] if first.islower() else words


def axis_label(metric: Metric, unit: str = "") -> str:
    """Returns the name of a metric with the unit of its printed values, or another one."""
    unit = unit or metric.format.unit
    return f"{metric.label} ({unit})" if unit else metric.label


def margin(share: float) -> str:
    """Returns a margin of accuracies in words.

    Example:
        >>> margin(0.01), margin(0.005)
        ('1 point', '0.5 points')
    """
    size = f"{100 * share:g}"
    return f"{size} {'point' if size == '1' else 'points'}"


def p_value(p: float | None) -> str:
    r"""Returns a p-value, or a dash.

    Example:
        >>> p_value(0.0312), p_value(1e-7)
        ('0.031', '<\xa00.001')
    """
    if p is None:
        return "–"
    return "<\u00a00.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def interval(low: float | None, high: float | None, show: Callable[[float], str] = percent) -> str:
    """Returns an interval in brackets, or nothing where there is none."""
    return "" if low is None or high is None else f"[{show(low)},\u00a0{show(high)}]"


def plain(name: str) -> str:
    """Returns an identifier as words."""
    return name.replace("_", " ")


def condition(name: str) -> str:
    """Returns the name of a corruption, of clean images or of the mean over corruptions."""
    return {"clean": "clean images", "mean": "mean over corruptions"}.get(name, plain(name))


def minus(words: str) -> str:
    """Returns words with real minus signs in front of numbers.

    Example:
        >>> minus("-0.5 [-1.0, 0.0] at 2026-01-01")
        '−0.5 [−1.0, 0.0] at 2026-01-01'
    """
    return re.sub(r"(?<![\w.-])-(?=\d)", MINUS, words)


def visible(words: str) -> str:
    r"""Returns text in which nothing is hidden and nothing turns round what follows.

    Returns:
        The text with signs in place of control characters and of marks of writing direction.

    Example:
        >>> visible("a\x00b\u202ec")
        'a␀b[U+202E]c'
    """
    return _UNSEEN.sub(_shown, words)


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    return chr(0x2400 + code) if code < 0x20 else f"[U+{code:04X}]"


def count(n: int, noun: str) -> str:
    """Returns a number with its noun, in the plural where it belongs.

    Example:
        >>> count(1, "seed"), count(3, "seed")
        ('1 seed', '3 seeds')
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def listed(parts: Sequence[str]) -> str:
    """Returns parts as an enumeration.

    Example:
        >>> listed(["a", "b", "c"])
        'a, b and c'
    """
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def difference_text(row: ComparisonRow) -> str:
    """Returns a tested difference of accuracies: points, interval, p as the verdict has it."""
    span = interval(row["low"], row["high"], points)
    p = p_value(row["p"] if row["p_holm"] is None else row["p_holm"])
    sign = "" if p.startswith("<") else "=\u00a0"
    return f"{points(row['difference'])} points {span}".rstrip() + f", p\u00a0{sign}{p}"
