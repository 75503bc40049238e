import json
import sys

import pandas as pd
import pytest

import corruptions
from robustbench_zosam.cli import main
from robustbench_zosam.errors import InputError
from robustbench_zosam.report import EXPORTS, export
from robustbench_zosam.results import tidy
from robustbench_zosam.results.robustbench import entries
from robustbench_zosam.results.series import series


def test_csv_is_the_tidy_table(run, small):
    (file,) = export(run, "csv")
    assert file == run / "exports" / "results.csv"
    assert len(pd.read_csv(file)) == len(tidy(small))


def test_parquet_is_the_tidy_table(run, small):
    pytest.importorskip("pyarrow")
    (file,) = export(run, "parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(file), tidy(small), check_dtype=False)


@pytest.mark.parametrize("kind", ["markdown", "latex"])
def test_tables_are_written(run, kind):
    (file,) = export(run, kind)
    assert "ZO-SAM" in file.read_text(encoding="utf-8")


def test_robustbench_has_one_entry_per_cell_with_its_fields(run, small):
    files = export(run, "robustbench")
    assert len(files) == len(small["cells"])
    entry = json.loads(files[0].read_text(encoding="utf-8"))
    wanted = (
        "link name authors additional_data number_forward_passes dataset venue architecture eps "
        "clean_acc reported corruptions_acc footnote"
    )
    assert set(entry) == set(wanted.split())
    assert float(entry["clean_acc"]) == pytest.approx(
        100 * small["cells"][0]["robustness"]["clean_accuracy"], abs=0.005
    )
    assert "15 of the leaderboard's 75 conditions" in entry["footnote"]


def test_robustbench_takes_the_common_corruptions_alone(runs):
    made = runs.make_results(kinds=1, seeds=1, n=40, dense=False)
    (entry,) = entries(made).values()
    rows = made["cells"][0]["robustness"]["rows"]
    common = [r["accuracy"] for r in rows if r["corruption"] in corruptions.names("common")]
    assert len(common) == 75
    assert float(entry["corruptions_acc"]) == pytest.approx(100 * sum(common) / 75, abs=0.005)
    assert "leaderboard" not in entry["footnote"]


def test_robustbench_names_imagenet_as_it_does(runs):
    made = runs.make_results(kinds=1, seeds=1, n=40, dense=False)
    made["data"]["name"] = "imagenet"
    made["cells"][0]["robustness"]["relative"] = {"mce": 0.765}
    (entry,) = entries(made).values()
    assert entry["corruptions_mce_2d"] == "76.50"
    assert "corruptions_acc_2d" in entry


def test_series_are_finite_and_named_by_what_they_are(small):
    found = list(series(small["cells"][0]))
    assert ("accuracy/clean", 0, small["cells"][0]["robustness"]["clean_accuracy"]) in found
    assert {name for name, *_ in found} >= {"training/loss", "cost/seconds", "flatness/trace"}
    assert list(series({"training": None, "robustness": None, "flatness": None})) == []


def test_tensorboard_reads_the_event_files(run, small):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folders = export(run, "tensorboard")
    assert export(run, "tensorboard") == folders  # again replaces
    assert [folder.name for folder in folders] == [cell["id"] for cell in small["cells"]]
    events = EventAccumulator(str(folders[0]))
    events.Reload()
    losses = [(e.step, e.value) for e in events.Scalars("training/loss")]
    history = small["cells"][0]["training"]["history"]
    assert losses == [(row["step"], pytest.approx(row["loss"])) for row in history]


def test_mlflow_holds_a_run_per_cell(run, small, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    store = (tmp_path / "store").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert export(run, "mlflow") == ()
    client = mlflow.MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name(small["title"])
    found = client.search_runs([experiment.experiment_id])
    assert {r.info.run_name for r in found} == {cell["id"] for cell in small["cells"]}
    cell = small["cells"][0]
    mine = next(r for r in found if r.info.run_name == cell["id"])
    assert mine.data.params["optimizer"] == "sgd"
    assert mine.data.metrics["robustness/clean_accuracy"] == cell["robustness"]["clean_accuracy"]


@pytest.mark.parametrize(
    ("kind", "package"),
    [("parquet", "pyarrow"), ("tensorboard", "tensorboard"), ("mlflow", "mlflow")],
)
def test_a_missing_package_is_named_with_its_extra(run, monkeypatch, kind, package):
    for name in [n for n in sys.modules if n.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"pip install 'zosam-robust\[{kind}\]'"):
        export(run, kind)


def test_unknown_kinds_suggest(run):
    with pytest.raises(InputError, match="did you mean latex"):
        export(run, "latexx")


def test_every_kind_can_be_loaded():
    for entry in EXPORTS:
        assert callable(entry.load())
        assert entry.summary


def test_figures_are_svg_and_pdf_with_stable_bytes(run, tmp_path):
    files = export(run, "figures")
    names = {"differences", "corruptions", "severity", "flatness", "training", "cost"}
    assert {file.name for file in files} == {f"{n}.{k}" for n in names for k in ("svg", "pdf")}
    again = export(run, "figures", tmp_path / "again")
    assert [a.read_bytes() for a in files] == [b.read_bytes() for b in again]
    assert all(b"</script>" not in file.read_bytes() for file in files if file.suffix == ".svg")
    assert files[1].read_bytes().startswith(b"%PDF")


def test_figures_show_what_there_is(runs, tmp_path):
    made = runs.make_results(kinds=1, seeds=1, corruptions=0, n=20, flat=False, dense=False)
    for method in made["methods"]:
        method["label"] = "</script>$x_1$\u202e"
    folder = runs.write_run(tmp_path / "run", made)
    names = {file.stem for file in export(folder, "figures")}
    assert "training" in names
    assert not names & {"differences", "severity", "flatness"}


def command_line(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["zosam-robust", "report", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_the_report_verb_writes_exports_beside_the_page(run, monkeypatch, capsys):
    assert command_line(monkeypatch, str(run), "--export", "csv", "--export", "markdown") == 0
    printed = capsys.readouterr().out.split()
    assert printed == [
        str(run / name) for name in ("report.html", "exports/results.csv", "exports/tables.md")
    ]


def test_a_misspelt_export_costs_nothing(run, monkeypatch, capsys):
    assert command_line(monkeypatch, str(run), "--export", "figurs") == 2
    assert "did you mean figures" in capsys.readouterr().err
    assert not (run / "report.html").exists()
