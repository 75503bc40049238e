import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustbench_zosam.report import text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (1.0, "1.00"),
        (99.96, "100"),
        (-0.5, "−0.500"),
        (0.00999, "0.00999"),
        (123456.0, "123000"),
        (2.5e7, "2.50e+07"),
        (1e-9, "1.00e−09"),
    ],
)
def test_numbers(value, shown):
    assert text.number(value) == shown


@given(st.floats(1e-4, 1e6, exclude_max=True))
def test_numbers_keep_three_digits(value):
    assert float(text.number(value)) == pytest.approx(value, rel=0.0051)


@given(st.floats(-1, 1))
def test_points_have_a_sign_unless_they_round_to_zero(difference):
    shown = text.points(difference)
    assert (shown[0] in "+−") == (float(shown.replace("−", "-")) != 0)


def test_missing_is_a_dash():
    assert {text.number(None), text.percent(None), text.points(None), text.p_value(None)} == {"–"}
    assert not text.interval(None, 1.0)
