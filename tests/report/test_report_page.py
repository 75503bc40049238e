import base64
import copy
import hashlib
import re
import subprocess
import sys
from html.parser import HTMLParser

import matplotlib as mpl
import pytest

from robustbench_zosam.errors import InputError
from robustbench_zosam.report import build_report
from robustbench_zosam.report.run import load_run
from robustbench_zosam.report.verdict import verdict

VOID = {"meta", "link", "img", "input"}
HOSTILE = "</script><img src=x onerror=alert(1)>&\"'$\\frac{"


class Page(HTMLParser):
    """Collects elements, and checks that every tag is closed in order."""

    def __init__(self, source):
        super().__init__()
        self.elements, self.open, self.text = [], [], []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in {"script", "style"}:
            self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def source(full, write, tmp_path_factory):
    return build_report(write(tmp_path_factory.mktemp("run"), full)).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


@pytest.fixture
def build(write, tmp_path):
    def build(results):
        return Page(build_report(write(tmp_path, results)).read_text(encoding="utf-8"))

    return build


def test_nothing_is_loaded_from_elsewhere(source, page):
    for _, attrs in page.elements:
        for key in ("src", "href", "data", "action", "srcset"):
            value = attrs.get(key)
            assert value is None or value[:1] == "#" or value.startswith("data:")
    assert "@import" not in source
    assert not re.findall(r"url\((?!#)", source)


def test_the_policy_allows_only_the_one_script(source, page):
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv"))
    (script,) = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert source.count("<script") == 2  # the other one is data
    assert source.count('<script type="application/json" id="data">') == 1
    assert not [attrs for _, attrs in page.elements if any(key.startswith("on") for key in attrs)]


def test_ids_are_unique_and_anchors_resolve(page):
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = [attrs["href"][1:] for _, attrs in page.elements if attrs.get("href", "")[:1] == "#"]
    labels = [attrs["aria-labelledby"] for _, attrs in page.elements if "aria-labelledby" in attrs]
    assert set(targets) | set(labels) <= set(ids)


def test_everything_can_be_read_aloud(page):
    assert page.all("html")[0]["lang"] == "en"
    assert all(attrs.get("aria-label") or attrs.get("aria-hidden") for attrs in page.all("svg"))
    assert all(attrs.get("alt") for attrs in page.all("img"))
    assert all(attrs.get("scope") for attrs in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    boxes = [a for a in page.all("div") if "box" in a.get("class", "").split()]
    assert all(a["tabindex"] == "0" and a.get("role") for a in boxes)


def test_sections_come_in_reading_order(page):
    found = [attrs["id"] for attrs in page.all("section")]
    assert found == [
        "verdict", "methods", "differences", "corruptions", "severity", "flatness", "planes",
        "slices", "cost", "training", "samples", "worst", "claims", "layers", "provenance",
    ]  # fmt: skip


def test_numbers_are_those_of_the_results(full, page):
    words = " ".join(page.text)
    for measures in full["summary"].values():
        assert f"{100 * measures['mean_corruption_accuracy']['value']:.1f}" in words
    assert full["provenance"]["command"] in "".join(page.text)
    assert full["data"]["fingerprint"] in words
    for claim in full["claims"]:
        assert claim["verdict"] in words


def test_equal_results_give_equal_bytes_and_leave_settings_alone(full, source, write, tmp_path):
    before = dict(mpl.rcParams)
    assert build_report(write(tmp_path, full)).read_text(encoding="utf-8") == source
    assert dict(mpl.rcParams) == before


def test_a_large_page_stays_small(make, write, tmp_path):
    file = build_report(write(tmp_path, make(kinds=11, n=60)))
    assert file.stat().st_size < 1_500_000


def poisoned(value):
    """Appends markup to every string that a user may have chosen."""
    value = copy.deepcopy(value)
    value["title"] += HOSTILE
    value["data"]["title"] += HOSTILE
    value["data"]["classes"] = [HOSTILE]
    value["data"]["partial"] = HOSTILE
    value["suite"]["name"] += HOSTILE
    value["config"]["note"] = HOSTILE
    value["provenance"]["command"] += HOSTILE
    value["provenance"]["versions"][HOSTILE] = HOSTILE
    for method in value["methods"]:
        method["label"] += HOSTILE
    for claim in value["claims"]:
        claim["measured"] += HOSTILE
    value["failures"] = [{"cell": "x", "method": value["methods"][0]["id"], "seed": 0}]
    value["failures"][0]["error"] = HOSTILE
    value["cells"][0]["sparsity"]["layers"][0]["name"] = HOSTILE
    return rename(value, "fog", "fog" + HOSTILE)


def rename(value, old, new):
    if isinstance(value, dict):
        return {rename(k, old, new): rename(v, old, new) for k, v in value.items()}
    if isinstance(value, list):
        return [rename(item, old, new) for item in value]
    return new if value == old else value


def test_hostile_names_are_only_names(make, build):
    results = make(kinds=2, seeds=2, n=40)
    harmless = build(results)
    page = build(poisoned(results))
    assert not [a for a in page.all("img") if not a["src"].startswith("data:image/png")]
    assert len(page.all("script")) == 2
    assert not [attrs for _, attrs in page.elements if "onerror" in attrs]
    assert len(page.all("svg")) == len(harmless.all("svg"))
    assert " ".join(page.text).count("onerror=alert(1)") > 20


SMALL = {"kinds": 2, "seeds": 2, "corruptions": 3, "n": 40}


def diverged(results):
    for cell in results["cells"][:2]:
        cell.update(status="diverged", robustness=None, flatness=None, landscape=None)
    results["methods"][0]["seeds"] = [0, 1]
    empty = {
        "value": None,
        "low": None,
        "high": None,
        "se": None,
        "n": 0,
        "status": "diverged",
        "detail": "",
    }
    for measures in list(results["summary"].values())[:1]:
        for name in measures:
            measures[name] = measures[name] | empty


def checkpoints(results):
    for method in results["methods"]:
        method.update(kind="checkpoint", optimizer="", sparsifier="", label="model.safetensors")
    for cell in results["cells"]:
        cell["training"] = None


def infinite(results):
    for cell in results["cells"]:
        cell["landscape"]["plane"]["losses"][0][0] = None
        cell["landscape"]["line"]["losses"][0][0] = None
        cell["flatness"]["trace"]["value"] = None


def long_names(results):
    for method in results["methods"]:
        method["label"] = "An optimizer with a very long name indeed · " + "RigL 90 % " * 8
    results["data"]["classes"] = [f"a very long class name {i} " * 20 for i in range(1000)]


def no_cells(results):
    results.update(cells=[], comparisons=[], claims=[], summary={})


@pytest.mark.parametrize("change", [diverged, checkpoints, infinite, long_names, no_cells])
def test_unusual_results_make_a_page(make, build, change):
    results = make(**SMALL)
    change(results)
    assert "verdict" in [attrs["id"] for attrs in build(results).all("section")]


SIZES = [
    {"kinds": 1, "seeds": 1, "corruptions": 1, "dense": False},
    {"kinds": 1, "seeds": 1, "corruptions": 0, "dense": False},
    {"kinds": 2, "seeds": 1},
    {"flat": False},
    {"slices": False},
    {"severities": (3,)},
]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_size_makes_a_page(make, build, size):
    page = build(make(**SMALL | size))
    found = {attrs["id"] for attrs in page.all("section")}
    assert {"verdict", "methods", "training"} <= found
    assert ("flatness" in found) == size.get("flat", True)
    assert ("planes" in found) == size.get("slices", True)


def test_a_run_without_gallery_has_no_samples(make, write, tmp_path):
    folder = write(tmp_path, make(**SMALL))
    (folder / "gallery.npz").unlink()
    assert 'id="samples"' not in build_report(folder).read_text(encoding="utf-8")


def test_failures_are_listed(make, build):
    results = make(**SMALL)
    diverged(results)
    failure = {"cell": "x", "method": "sgd-rigl-0.9", "seed": 7, "error": "out of memory"}
    results["failures"] = [failure]
    words = " ".join(build(results).text)
    assert "out of memory" in words
    assert "the training diverged" in words
    assert "2 training runs diverged" in words


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("better", "ZO-SAM is more accurate than SGD"),
        ("worse", "ZO-SAM is less accurate than SGD"),
        ("tie", "Undecided: chance may explain how ZO-SAM differs from SGD"),
    ],
)
def test_the_verdict_is_as_plain_for_a_loss(make, write, tmp_path, word, sentence):
    results = make(kinds=4, seeds=2, corruptions=2, n=40)
    for comparison in results["comparisons"]:
        comparison["rows"][1]["verdict"] = word
    found = verdict(load_run(write(tmp_path, results)))
    assert found[0].startswith(sentence)


def test_one_seed_is_said(make, write, tmp_path):
    found = verdict(load_run(write(tmp_path, make(**SMALL | {"seeds": 1}))))
    assert "one training seed" in found[-1]


@pytest.mark.parametrize("content", ['{"schema": 99}', "[]"])
def test_results_of_another_schema_are_refused(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(InputError, match="schema"):
        build_report(tmp_path)


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"results\.json"):
        build_report(tmp_path)


def test_the_report_needs_no_torch():
    code = "import robustbench_zosam.report, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
