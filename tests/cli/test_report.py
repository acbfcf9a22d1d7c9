"""`dlcli report`: one page that holds what there is, and nothing that could do harm."""

import base64
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcli.cli import report_page

VOID = {"meta", "img", "br", "link", "input"}
NASTY = "<script>alert('x')</script>&\"'"


class Page(HTMLParser):
    """The elements, texts and pictures of a page whose elements are all closed in their order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.words, self.pictures, self.links = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        found = dict(attrs)
        assert not any(name.startswith("on") for name in found), attrs
        if tag == "img":
            assert found["alt"]
            self.pictures.append(found["src"])
        self.links += [found[key] for key in ("href", "src") if key in found]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return "".join(self.words)


def page_of(run):
    return Page((run / "report.html").read_text())


def test_a_report_holds_the_pictures_and_figures_of_the_run(dlcli, a_copy):
    result = dlcli("report", a_copy)
    assert result.code == 0, result.err
    assert "report.html" in result.out
    page = page_of(a_copy)
    drawn = sorted((a_copy / "plots").glob("*.png"))
    names = {path.stem for path in drawn}
    assert {"curves", "confusion", "roc", "calibration", "mistakes"} <= names
    held = {base64.b64decode(source.partition("base64,")[2]) for source in page.pictures}
    assert held == {path.read_bytes() for path in drawn}
    best = json.loads((a_copy / "status.json").read_text())["best"]
    for told in (
        "cnn-small on digits",
        f"{best['val_accuracy']:.4f}",
        "train.lr",
        "numpy",
        "waiting for data",
    ):
        assert told in page.text
    test = json.loads((a_copy / "evaluations" / "test.json").read_text())
    assert f"{test['accuracy']:.4f}" in page.text
    assert "dlcli runs reproduce" in page.text


def test_a_report_loads_nothing_and_runs_nothing(dlcli, a_copy):
    assert dlcli("report", a_copy).code == 0
    page = page_of(a_copy)
    assert page.links
    assert all(link.startswith("data:image/") for link in page.links)
    assert "script" not in page.tags
    source = (a_copy / "report.html").read_text()
    assert "default-src 'none'" in source
    assert not re.search(r"url\(|@import|https?:", source)
    assert "prefers-color-scheme: dark" in source


def test_names_from_outside_are_text_wherever_they_stand(dlcli, a_copy):
    (a_copy / "config.toml").write_text(
        f"[model]\nname = {json.dumps(NASTY)}\n[data]\nsource = {json.dumps(NASTY)}\n"
    )
    found = json.loads((a_copy / "evaluations" / "test.json").read_text())
    found["per_class"][0]["class"] = found["mistakes"][0]["true"] = NASTY
    found[NASTY] = NASTY
    (a_copy / "evaluations" / "test.json").write_text(json.dumps(found))
    (a_copy / "evaluations" / "<b>.json").write_text(json.dumps(found))
    (a_copy / "env.json").write_text(json.dumps({NASTY: NASTY}))
    (a_copy / "metrics.jsonl").write_text(json.dumps({"epoch": 1, NASTY: NASTY}) + "\n")
    (a_copy / "plots" / "curves.png").rename(a_copy / "plots" / "<script>'\"&.png")
    assert dlcli("report", a_copy).code == 0
    page = page_of(a_copy)
    assert "script" not in page.tags
    assert "Measured: <b>" in page.text
    assert page.text.count(NASTY) >= 8


@settings(max_examples=40, deadline=None)
@given(st.text() | st.floats() | st.integers() | st.booleans() | st.none())
def test_every_value_becomes_a_cell_that_can_be_read_back(value):
    row = Page(report_page.table(["a"], [[value]]))
    assert row.tags == ["div", "table", "thead", "tr", "th", "tbody", "tr", "td"]


def test_what_is_damaged_is_named_and_the_rest_is_shown(dlcli, a_copy):
    for other in (a_copy / "plots").glob("*-*.png"):  # of parts that another test measured
        other.unlink()
    (a_copy / "env.json").write_text("{")
    (a_copy / "evaluations" / "test.json").write_bytes(b"\xff")
    (a_copy / "plots" / "roc.png").write_text("<svg onload=alert(1)>")
    with open(a_copy / "plots" / "curves.png", "ab") as file:
        file.truncate(9 << 20)
    result = dlcli("report", a_copy, "--json")
    assert result.code == 0
    found = result.json
    assert len(found["notes"]) == 4
    for name in ("env.json", "test.json", "plots/roc.png", "plots/curves.png"):
        assert any(name in note for note in found["notes"])
        assert name in result.err
    assert found["pictures"] == [
        f"plots/{name}.png" for name in ("confusion", "calibration", "mistakes")
    ]
    assert len(page_of(a_copy).pictures) == 3
    assert found["bytes"] == (a_copy / "report.html").stat().st_size


def test_a_run_that_was_killed_as_it_began_has_a_report_too(dlcli, tmp_path):
    run = tmp_path / "begun"
    run.mkdir()
    (run / "config.toml").write_text('[model]\nname = "cnn"\n[data]\nsource = "digits"\n')
    assert dlcli("report", run).code == 0
    text = page_of(run).text
    assert "not begun" in text
    assert "No epoch is done" in text
    assert "train --resume" in text


def test_an_explicit_file_is_never_overwritten_and_the_one_in_the_run_is_made_anew(
    dlcli, fails, a_copy, tmp_path
):
    out = tmp_path / "a page.html"
    assert dlcli("report", a_copy, "-o", out).code == 0
    assert not (a_copy / "report.html").exists()
    assert "exists" in fails(2, "report", a_copy, "-o", out)
    assert [dlcli("report", a_copy).code for _ in range(2)] == [0, 0]


def test_what_is_no_run_or_cannot_be_written_is_an_error(fails, a_copy, tmp_path):
    assert "not a run" in fails(4, "report", tmp_path)
    assert "cannot be written" in fails(9, "report", a_copy, "-o", tmp_path / "absent" / "r.html")
    (a_copy / "config.toml").write_text("[model")
    assert "config.toml" in fails(4, "report", a_copy)


def test_many_epochs_are_thinned_out_and_the_best_and_the_last_stay(dlcli, a_copy):
    lines = [json.dumps({"epoch": n, "step": n, "val_loss": n / 7}) for n in range(1, 1002)]
    (a_copy / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    status = json.loads((a_copy / "status.json").read_text())
    (a_copy / "status.json").write_text(json.dumps({**status, "best": {"epoch": 500, "step": 500}}))
    assert dlcli("report", a_copy).code == 0
    source = (a_copy / "report.html").read_text()
    table = source.partition("<h2>Epochs</h2>")[2].partition("</table>")[0]
    assert 150 < table.count("<tr") < 220
    assert "<tr class=best><td>500</td>" in table
    assert "<td>1,001</td>" in table


@pytest.mark.parametrize(
    ("value", "told"),
    [(None, "–"), (0.5, "0.5000"), (0.0, "0"), (1234.5, "1,234.50"), (12, "12"), (1e-7, "1e-07")],
)
def test_numbers_are_short(value, told):
    assert report_page.number(value) == told
