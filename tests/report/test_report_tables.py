"""The table of methods."""

from robustbench_zosam.report.run import Run
from robustbench_zosam.report.tables import method_tables, tie_groups


def test_ties_share_a_rank_in_the_first_table_only(make):
    results = make(kinds=3, seeds=2, corruptions=2, n=40, dense=False)
    first, second, third = (method["id"] for method in results["methods"])
    results["ranking"] = [
        {"setting": "RigL 90 %", "groups": [[first, second, third]]},
        {"setting": "", "groups": [[third, first], [second]]},
    ]
    run = Run(results, None)
    assert tie_groups(run) == {third: (1, 1), first: (1, 1), second: (2, 0)}
    tables = method_tables(run)
    assert [(row.rank, row.ties) for row in tables[0].rows] == [("1", 1), ("2", 0), ("1", 1)]
    assert tables[0].ranked
    assert not tables[1].ranked


def test_without_a_ranking_there_are_no_ranks(make):
    results = make(kinds=2, seeds=1, corruptions=1, n=40)
    results.pop("ranking", None)
    assert not method_tables(Run(results, None))[0].ranked
