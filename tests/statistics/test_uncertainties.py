"""Standard errors, degrees of freedom and tails against closed forms, scipy and simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from robustbench_zosam.claims.findings import Rule
from robustbench_zosam.claims.ratios import judge_ratio, ratio
from robustbench_zosam.errors import InputError
from robustbench_zosam.schema import MeanSquares
from robustbench_zosam.statistics import (
    equivalence,
    holm,
    mcnemar,
    paired_difference,
    t_interval,
    wilson,
)
from robustbench_zosam.statistics.crossed import Pivot


def crossed(seeds, images, sd=(0.5, 1.0, 1.0), seed=0):
    """Returns a table of seed, image and residual effects."""
    rng = np.random.default_rng(seed)
    table = sd[0] * rng.normal(size=(seeds, 1)) + sd[1] * rng.normal(size=(1, images))
    return table + sd[2] * rng.normal(size=(seeds, images))


class TestSingleMeasures:
    @pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
    def test_t_interval(self, level):
        values = [0.91, 0.87, 0.93, 0.90, 0.85]
        found = t_interval(values, level)
        oracle = stats.t.interval(level, 4, loc=np.mean(values), scale=stats.sem(values))
        assert (found.low, found.high) == pytest.approx(oracle)
        assert found.se == pytest.approx(stats.sem(values))
        assert (found.value, found.n, found.level) == (pytest.approx(0.892), 5, level)

    @pytest.mark.parametrize("level", [0.0, 1.0, 1.5])
    def test_impossible_levels_are_refused(self, level):
        for call in (
            lambda: t_interval([1.0, 2.0], level),
            lambda: wilson(1, 2, level),
            lambda: paired_difference([[1.0]], [[0.0]], level=level),
        ):
            with pytest.raises(InputError, match="level"):
                call()

    @pytest.mark.parametrize("successes", [0, 3, 17, 20])
    def test_wilson_is_the_set_of_shares_that_a_score_test_accepts(self, successes):
        n, level = 20, 0.9
        found = wilson(successes, n, level)
        z = stats.norm.isf((1 - level) / 2)
        for limit in (found.low, found.high):
            if 0 < limit < 1:
                score = (successes / n - limit) / math.sqrt(limit * (1 - limit) / n)
                assert abs(score) == pytest.approx(z)
        outcomes = np.repeat([1.0, 0.0], [successes, n - successes])
        assert found.se == pytest.approx(outcomes.std() / math.sqrt(n))
        assert (found.n, found.level) == (n, level)

    def test_wilson_ends_exactly(self):
        none, all_ = wilson(0, 7), wilson(7, 7)
        assert (none.low, all_.high) == (0.0, 1.0)
        assert none.high == pytest.approx(1 - all_.low)
        assert wilson(1, 1).value == 1

    def test_holm_on_equal_and_few_values(self):
        assert holm([]) == ()
        assert holm([0.3]) == (0.3,)
        assert holm([0.5, 0.5]) == (1.0, 1.0)
        assert holm([0.0, 1.0]) == (0.0, 1.0)
        with pytest.raises(InputError):
            holm([-0.1])

    @pytest.mark.parametrize(("only_a", "only_b"), [(0, 1), (3, 9), (9, 3), (5, 5), (20, 4)])
    def test_mcnemar_is_the_binomial_test_of_the_discordant(self, only_a, only_b):
        a = np.repeat([1, 0, 1, 0], [only_a, only_b, 4, 2])
        b = np.repeat([0, 1, 1, 0], [only_a, only_b, 4, 2])
        found = mcnemar(a, b)
        assert found.p == pytest.approx(stats.binomtest(only_a, only_a + only_b).pvalue)
        assert (found.only_a, found.only_b, found.n) == (only_a, only_b, len(a))

    def test_a_ratio_is_a_t_interval_of_logarithms(self):
        logs = [0.2, 0.5, 0.1, 0.4]
        found = ratio(logs, 0.9)
        low, high = stats.t.interval(0.9, 3, loc=np.mean(logs), scale=stats.sem(logs))
        assert found.effect["value"] == pytest.approx(stats.gmean(np.exp(logs)))
        assert (found.effect["low"], found.effect["high"]) == pytest.approx((
            math.exp(low),
            math.exp(high),
        ))
        assert (found.logs, found.level) == (tuple(logs), 0.9)
        one = ratio([0.2], 0.9)
        assert (one.effect["low"], one.effect["high"]) == (None, None)
        assert one.text("it") == "1.22 times it"
        words = f"1.35 times it [{math.exp(low):.2f}, {math.exp(high):.2f}]"
        assert found.text("it") == words

    @pytest.mark.parametrize(
        ("bound", "side", "verdict"),
        [
            (1.05, "above", "supported"),
            (1.05, "below", "not supported"),
            (1.35, "above", "undecided"),
            (1.7, "below", "supported"),
            (1.7, "above", "not supported"),
        ],
    )
    def test_a_ratio_is_judged_by_its_whole_interval(self, bound, side, verdict):
        found = ratio([0.25, 0.3, 0.35], 0.95)  # [1.19, 1.53]
        rule = Rule(above=bound) if side == "above" else Rule(below=bound)
        judged = judge_ratio("all", found, "words", rule=rule, expected=2.0)
        assert judged["verdict"] == verdict
        assert f"{bound:.2g}" in judged["why"]


class TestPairs:
    def test_satterthwaites_degrees_of_freedom(self):
        found = paired_difference(crossed(4, 12), np.zeros((4, 12)))
        squares = found["squares"]
        parts = [(squares["seed"], 3), (squares["image"], 11), (squares["residual"], 33)]
        total = squares["seed"] + squares["image"] - squares["residual"]
        assert min(squares["seed"], squares["image"]) > squares["residual"]
        assert found["df"] == pytest.approx(total**2 / sum(ms**2 / df for ms, df in parts))
        assert found["se"] == pytest.approx(math.sqrt(total / 48))

    @pytest.mark.parametrize("small", ["seed", "image"])
    def test_no_component_counts_below_zero(self, small):
        """A mean square below that of the residual is replaced by it."""
        table = crossed(3, 8, sd=(0.0, 0.0, 1.0), seed=1)
        axis = 1 if small == "seed" else 0
        table -= table.mean(axis=axis, keepdims=True)
        found = paired_difference(1 + table, np.zeros_like(table))
        squares = found["squares"]
        other = squares["image"] if small == "seed" else squares["seed"]
        assert squares[small] == pytest.approx(0, abs=1e-12)
        assert found["se"] ** 2 == pytest.approx(max(other, squares["residual"]) / 24)
        assert found["components"][small] == 0.0
        large = max(other, squares["residual"])
        dfs = (7, 2) if small == "seed" else (2, 7)
        spread = large**2 / dfs[0] + squares["residual"] ** 2 * (1 / dfs[1] + 1 / 14)
        assert found["df"] == pytest.approx(large**2 / spread)

    def test_a_table_without_spread_has_the_fewest_degrees_of_freedom(self):
        found = paired_difference(np.ones((3, 5)), np.zeros((3, 5)))
        assert (found["se"], found["df"]) == (0.0, 2.0)
        assert found["p"] == 2.0**-4  # all five images have the same sign
        assert paired_difference(np.ones((5, 3)), np.zeros((5, 3)))["p"] == 2.0**-4
        assert paired_difference(np.ones((1, 2000)), np.zeros((1, 2000)))["p"] == 2.0**-999

    @pytest.mark.parametrize("shape", [(3, 5), (1, 6), (7, 1), (4, 19)])
    @pytest.mark.parametrize("constant", [0.1, 1 / 3, sum([1 / 19] * 19)])
    def test_the_rounding_of_a_constant_difference_is_no_spread(self, shape, constant):
        found = paired_difference(np.full(shape, constant), np.zeros(shape))
        assert (found["se"], found["p"]) == (0.0, 2.0 ** (1 - max(shape)))
        assert found["low"] == found["high"] == found["difference"] == pytest.approx(constant)
        turned = np.full(shape, constant)
        turned[0, 0] = np.nextafter(constant, 1)
        assert paired_difference(turned, np.zeros(shape))["se"] == 0.0

    @pytest.mark.parametrize("level", [0.5, 0.8, 0.99])
    def test_the_limits_are_where_the_p_value_is_that_of_the_level(self, level):
        table = 0.4 + crossed(3, 40)
        zero = np.zeros_like(table)
        found = paired_difference(table, zero, level=level)
        for limit in (found["low"], found["high"]):
            assert paired_difference(table - limit, zero)["p"] == pytest.approx(1 - level, rel=1e-6)
        assert found["high"] - found["difference"] == pytest.approx(
            found["difference"] - found["low"]
        )
        assert found["level"] == level

    def test_facts_stand_beside_the_difference(self):
        table = crossed(3, 5)
        found = paired_difference(table, np.zeros_like(table))
        assert found["per_seed"] == pytest.approx(tuple(table.mean(axis=1)))
        assert (found["n_seeds"], found["n_images"]) == (3, 5)
        one = paired_difference(table[:, :1], np.zeros((3, 1)))["components"]
        assert (one["image"], one["residual"]) == (None, None)
        assert one["seed"] == pytest.approx(table[:, 0].var(ddof=1))
        row = paired_difference(table[:1], np.zeros((1, 5)))["components"]
        assert (row["seed"], row["residual"]) == (None, None)
        assert row["image"] == pytest.approx(table[0].var(ddof=1))
        single = paired_difference([[1.0]], [[0.0]])
        assert (single["se"], single["df"], single["components"]["image"]) == (None, None, None)

    def test_rounding_is_no_difference(self):
        third = np.full((2, 4), 0.1 + 0.2)
        found = paired_difference(third, np.full((2, 4), 0.3))
        assert (found["difference"], found["p"]) == (0.0, 1.0)
        small = paired_difference(np.full((2, 4), 1e-9), np.zeros((2, 4)))
        assert small["difference"] == pytest.approx(1e-9)


class TestPivot:
    @pytest.mark.parametrize(
        ("seeds", "images", "squares"),
        [
            (
                3,
                12,
                MeanSquares(seed=2.0, image=1.5, residual=1.0),
            ),  # both mean squares are uncertain
            (3, 500, MeanSquares(seed=2.0, image=3.0, residual=1.0)),  # that of the images is known
            (
                2,
                30,
                MeanSquares(seed=0.5, image=2.0, residual=1.0),
            ),  # the seeds' is less than the residual one
        ],
    )
    def test_tails_are_those_of_the_stated_distribution(self, seeds, images, squares):
        """A simulation of V(u, w): 400,000 draws, a standard error below 0.001 for each tail."""
        rng = np.random.default_rng(0)
        u, w = rng.chisquare(seeds - 1, 400_000), rng.chisquare(images - 1, 400_000)
        between = np.maximum(squares["seed"] * (seeds - 1) / u, squares["residual"])
        if images > 30:
            w = images - 1
        within = np.maximum(squares["image"] * (images - 1) / w - squares["residual"], 0)
        sd = np.sqrt((between + within) / (seeds * images))
        pivot, unit = Pivot(squares, seeds, images), float(np.median(sd))
        for t in (0.0, 0.5, 1.0, 2.0, 4.0):
            expected = stats.norm.sf(t * unit / sd).mean()
            assert pivot.tail(t * unit) == pytest.approx(expected, abs=0.002)
        for probability in (0.2, 0.025, 0.001):
            quantile = pivot.quantile(probability)
            assert pivot.tail(quantile) == pytest.approx(probability, rel=1e-9)

    def test_without_spread_every_error_is_zero(self):
        pivot = Pivot(MeanSquares(seed=0.0, image=0.0, residual=0.0), 3, 9)
        assert pivot.tail(0.0) == pytest.approx(0.5)
        assert (pivot.tail(1e-9), pivot.quantile(0.025)) == (0.0, 0.0)

    @pytest.mark.parametrize(("seeds", "images"), [(1, 10), (4, 1), (1, 200)])
    def test_one_row_or_column_is_students_t(self, seeds, images):
        cells = seeds * images
        squares = MeanSquares(
            seed=2.0 if images == 1 else 0.0, image=2.0 if seeds == 1 else 0.0, residual=0.0
        )
        pivot = Pivot(squares, seeds, images)
        se = math.sqrt(2.0 / cells)
        for t in (0.3, 1.0, 3.0, 6.0):
            assert pivot.tail(t * se) == pytest.approx(stats.t.sf(t, cells - 1), rel=1e-6)


class TestEquivalence:
    @pytest.mark.parametrize("shift", [0.0, 0.01, 0.03, 0.05])
    def test_the_p_value_is_the_larger_one_sided_one(self, shift):
        """Shifted by either margin, a one-sided test is half of the two-sided one or the rest."""
        table = shift + 0.02 * crossed(3, 50)
        zero = np.zeros_like(table)
        paired = paired_difference(table, zero)
        each = []
        for side in (-1, 1):
            moved = paired_difference(table + side * 0.03, zero)
            beyond = moved["difference"] * side > 0
            each.append(moved["p"] / 2 if beyond else 1 - moved["p"] / 2)
        found = equivalence(paired, 0.03)
        assert found["p"] == pytest.approx(max(each))
        assert found["margin"] == 0.03
        assert found["equivalent"] == (max(each) < 0.025)

    def test_stored_results_without_mean_squares_have_students_t(self):
        old = paired_difference(0.01 * crossed(1, 30), np.zeros((1, 30)))
        assert equivalence({**old, "squares": None}, 0.02)["p"] == pytest.approx(
            equivalence(old, 0.02)["p"]
        )
        beyond = {**old, "squares": None, "difference": 0.05}
        assert equivalence(beyond, 0.02)["p"] == pytest.approx(
            stats.t.sf((0.02 - 0.05) / old["se"], 29)
        )

    def test_a_level_of_half_judges_at_a_quarter(self):
        table = 0.02 * crossed(2, 30)
        found = equivalence(paired_difference(table, 0 * table, level=0.5), 0.02)
        assert found["equivalent"] == (found["p"] < 0.25)
        constant = paired_difference(np.full((2, 9), 0.01), np.zeros((2, 9)))
        assert equivalence(constant, 0.01)["p"] == 1.0
        assert equivalence(constant, 0.02)["p"] == pytest.approx(0.98**9)
