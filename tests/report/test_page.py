"""The report: which runs it finds, what its tables say, and the page in a real browser."""

import csv
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from places import ROOT

from jaxnoise.config import Config, InputError
from jaxnoise.figures import colours
from jaxnoise.report import collection, made_by, tables
from jaxnoise.report import page as report
from jaxnoise.report.__main__ import main
from jaxnoise.report.figures import add_legend, by_cost, by_rate, looks
from jaxnoise.runs import documents
from jaxnoise.sweep import plans
from jaxnoise.sweep.grid import PlannedRun


def values(entries, name="last", *, less=None):
    found = tables.tables(entries)
    (table,) = (x for x in found if (x.selection, x.less) == (name, less))
    return table


# What is found


def test_runs_are_methods_times_noise(make, tmp_path):
    for rate in (0.2, 0.4):
        make([80.0, 82], noise_rate=rate)
        make([85.0, 86], noise_rate=rate, wd_coef=1e-4, do_sn=True)
    entries = collection.collect(tmp_path)
    assert {x.method for x in entries} == {"no_reg", "wd_0.0001_sn"}
    assert {(x.dataset, x.column.model, x.column.rate) for x in entries} == {
        ("digits", "uniform_noise", 0.2), ("digits", "uniform_noise", 0.4),
    }  # fmt: skip
    assert {x.state for x in entries} == {"finished"}
    assert entries[0].command.startswith("python main.py --dataset=digits --noise_rate=")


def test_what_no_name_tells_is_added_to_it(make, tmp_path):
    make([80.0, 82], noise_rate=0.4)
    make([81.0, 83], noise_rate=0.4, epochs_num=7)
    make([81.0, 82], noise_rate=0.4, split_seed=2)
    make([70.0, 71], noise_rate=0.4, loss="mae", epochs_num=7)  # not equal to the first in all else
    make([71.0, 72], noise_rate=0.4, loss="gce", gce_q=0.5)
    make([90.0, 91, 92], noise_rate=0.2, noise_seed=3, jacob_samples=7)  # no other method
    entries = collection.collect(tmp_path)
    (gce,) = {x.method for x in entries if x.method.startswith("gce")}
    assert {x.method for x in entries} == {
        "no_reg", "no_reg epochs_num=7", "no_reg split_seed=2", "mae epochs_num=7", gce,
    }  # fmt: skip
    assert "epochs_num" not in gce
    assert {x.noise for x in entries} == {"uniform_noise_0.4", "uniform_noise_0.2"}


def test_named_methods_have_nothing_added_that_differs_between_names(make, tmp_path):
    settings = dict(dataset="digits", total_repeats=2, results_dir=str(tmp_path))
    for epochs, name in ((3, "short"), (30, "long")):
        make([80.0, 82], epochs_num=epochs)
        plans.write([PlannedRun(name, Config(**settings, epochs_num=epochs))])
    assert {x.method for x in collection.collect(tmp_path)} == {"short", "long"}


def test_different_noise_of_one_rate_is_in_columns_of_its_own(make, tmp_path):
    make([80.0, 82], noise_type="flip_noise", noise_rate=0.4)
    make([70.0, 71], noise_type="flip_noise", noise_rate=0.4, flip_map="pair")
    make([60.0, 61], noise_type="flip_noise", noise_rate=0.4, flip_map="pair", noise_seed=1)
    make([90.0, 91], noise_type="flip_noise", noise_rate=0.2)
    entries = collection.collect(tmp_path)
    assert {(x.column.model, x.column.rate, x.noise) for x in entries} == {
        ("flip_noise", 0.4, "flip_noise_0.4"),
        ("flip_noise flip_map=pair", 0.4, "flip_noise_0.4 flip_map=pair"),
        ("flip_noise flip_map=pair noise_seed=1", 0.4, "flip_noise_0.4 flip_map=pair noise_seed=1"),
        ("flip_noise", 0.2, "flip_noise_0.2"),
    }
    assert len(values(entries).values) == 4


def test_runs_between_which_the_images_changed_are_in_columns_of_their_own(make, tmp_path):
    first = make([80.0, 82], facts={"data_sha256": "a" * 64})
    first.rename(first.with_name("no_reg-00000000"))  # where the name depends on the images
    make([70.0, 72], facts={"data_sha256": "b" * 64})
    entries = collection.collect(tmp_path)
    assert {x.dataset for x in entries} == {"digits (data aaaaaaaa)", "digits (data bbbbbbbb)"}
    assert len(values(entries).values) == 2


def test_runs_between_which_a_file_of_labels_changed_are_in_columns_of_their_own(make, tmp_path):
    file = tmp_path / "labels.npy"
    for labels in ("a" * 64, "b" * 64):
        file.write_text(labels)
        make([80.0, 82], labels=labels, noise_file=str(file))
    noises = {x.noise for x in collection.collect(tmp_path)}
    assert noises == {"noise_file (labels aaaaaaaa)", "noise_file (labels bbbbbbbb)"}


def test_report_says_why_runs_have_no_difference(make, tmp_path):
    made = {"code": {"jaxnoise.losses": "ce=1"}, "environment": {}}
    make([80.0, 82], facts=made)
    make([84.0, 86], facts=made, do_sn=True)
    make([90.0, 92], facts=made | {"code": {"jaxnoise.losses": "ce=2"}}, wd_coef=1e-4)
    report.write(tmp_path, tmp_path / "report")
    said = (
        "No difference for wd_0.0001 (uniform_noise_0): that of no_reg was made by other code in "
        "jaxnoise.losses."
    )
    for name in ("report.md", "report.html"):
        assert said in (tmp_path / "report" / name).read_text(encoding="utf-8")


def test_of_runs_that_differ_in_their_repeats_the_longest_is_shown(make, tmp_path):
    for accuracy in ([80.0, 82], [90.0, 91, 92], [70.0]):
        make(accuracy)
    entries = collection.collect(tmp_path)
    assert len(entries) == 3
    assert [x.text for x in values(entries).values.values()] == ["91.00 ± 0.82"]


def test_plans_tell_names_and_what_is_missing(make, tmp_path):
    folder = make([80.0, 82], noise_rate=0.4)
    settings = dict(dataset="digits", total_repeats=2, results_dir=str(tmp_path))
    planned = [
        PlannedRun("plain", Config(**settings, noise_rate=0.4)),
        PlannedRun("plain", Config(**settings, noise_rate=0.2)),
        PlannedRun("smooth", Config(**settings, noise_rate=0.4, wd_coef=1e-4)),
    ]
    path = plans.write(planned)
    plans.note(path, planned[2].folder, "no disk")
    planned[2].folder.mkdir(parents=True)
    documents.write_config(planned[2].folder, planned[2].config, {})
    entries = collection.collect(tmp_path)
    assert [(x.method, x.noise, x.state, x.error) for x in entries] == [
        ("plain", "uniform_noise_0.4", "finished", ""),
        ("plain", "uniform_noise_0.2", "not begun", ""),
        ("smooth", "uniform_noise_0.4", "failed", "no disk"),
    ]
    assert entries[0].folder == folder
    assert entries[1].command == planned[1].config.command


def test_unfinished_and_damaged_runs_are_shown(make, tmp_path, caplog):
    (make([80.0, 82]) / "scores.json").unlink()
    (make([80.0, 82], noise_rate=0.2) / "scores.json").write_text("{")
    (make([80.0, 82], noise_rate=0.4) / "config.json").write_text("[]")
    (make([80.0, 82], noise_rate=0.6) / "history.npz").write_bytes(b"PK\3\4 cut short")
    (make([80.0, 82], noise_rate=0.8) / "config.json").unlink()
    entries = collection.collect(tmp_path)
    assert [x.state for x in entries] == ["unfinished", *["damaged"] * 2, "finished", "damaged"]
    assert report.write(tmp_path, tmp_path / "report").exists()
    damaged = [x.folder for x in entries if x.state == "damaged"]
    assert len(caplog.messages) == len(damaged)
    for said, folder in zip(caplog.messages, damaged, strict=True):
        assert said.startswith(f"Warning: RUN_DIR={folder}: ")


def test_a_run_that_a_link_names_too_is_one_run(make, tmp_path):
    folder = make([80.0, 82])
    folder.with_name("a_link").symlink_to(folder)
    (entry,) = collection.collect(tmp_path)
    assert entry.folder == folder and entry.method == "no_reg"


def test_a_border_inside_of_a_name_is_none(make, tmp_path):
    settings = dict(dataset="digits", total_repeats=2, results_dir=str(tmp_path))
    make([80.0, 82])
    plans.write([PlannedRun("a|b", Config(**settings))])
    (row,) = re.findall(r"^\| a.*$", tables.markdown([values(collection.collect(tmp_path))]), re.M)
    assert row.startswith(r"| a\|b ")


def test_the_same_labels_in_other_files_are_one_column(make, tmp_path, monkeypatch):
    monkeypatch.setattr(Config, "fingerprint", property(lambda self: f"{hash(self):x}"[-8:]))
    make([80.0, 82], noise_file="a.npz")
    make([90.0, 92], noise_file="./a.npz", wd_coef=1e-4)
    one, other = collection.collect(tmp_path)
    assert one.column == other.column == ("digits", "noise_file")
    assert len(values([one, other], less=one.method).values) == 1


@pytest.mark.parametrize("name", ["none", "empty", "damaged plan"])
def test_folders_without_runs(name, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged plan" / "sweeps").mkdir(parents=True)
    (tmp_path / "damaged plan" / "sweeps" / "a.json").write_text("{")
    assert main([str(tmp_path / name)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# Tables


def test_best_is_bold_only_where_its_lead_is_not_chance(make, tmp_path):
    make([80.0, 82, 84], noise_rate=0.2)
    make([81.0, 83.1, 84.9], noise_rate=0.2, wd_coef=1e-4)  # always about one better
    make([80.0, 82, 84], noise_rate=0.4)
    make([86.0, 80, 83], noise_rate=0.4, wd_coef=1e-4)  # better by chance
    table = values(collection.collect(tmp_path))
    bold = {key for key, value in table.values.items() if value.bold}
    assert bold == {("wd_0.0001", ("digits", "uniform_noise_0.2"))}


def test_differences_are_to_no_regularizer_and_bold_where_they_are_not_chance(make, tmp_path):
    make([86.0, 80, 83], noise_rate=0.2, wd_coef=1e-4)  # better by chance
    make([80.0, 82, 84], noise_rate=0.2)
    make([78.0, 80.1, 81.9], noise_rate=0.2, do_sn=True)
    make([90.0, 91, 92], noise_rate=0.2, do_sn=True, wd_coef=1e-4, seed=5)  # no pairs
    make([80.0, 82, 84], noise_rate=0.4, wd_coef=1e-4)  # nothing to subtract
    entries = collection.collect(tmp_path)
    table = values(entries, less="no_reg")
    column = "digits", "uniform_noise_0.2"
    assert (
        table.title == "last epoch, difference from no_reg (n = 3)"
        and "no_reg" not in table.methods
    )
    assert table.values == {
        # t(0.975, 2) · s / √3 = 4.303 · 0.1 / √3 = 0.25, and with s = √19 10.83.
        ("sn", column): ("−2.00 [−2.25, −1.75]", True),
        ("wd_0.0001", column): ("+1.00 [−9.83, +11.83]", False),
    }
    assert "$-$2.00 [$-$2.25, $-$1.75]" in tables.latex([table])


def test_differences_are_to_no_regularizer_whatever_its_row_is_called(make, tmp_path):
    settings = dict(dataset="digits", total_repeats=3, results_dir=str(tmp_path))
    make([86.0, 80, 83], wd_coef=1e-4)
    make([80.0, 82, 84])
    rows = {"smooth": {"wd_coef": 1e-4}, "cross-entropy": {}}
    plans.write([PlannedRun(name, Config(**settings, **row)) for name, row in rows.items()])
    table = values(collection.collect(tmp_path), less="cross-entropy")
    assert table.methods == ["smooth"]


def test_rates_stand_below_their_noise_models_in_latex(make, tmp_path):
    for rate in (0.2, 0.4):
        make([80.0, 82], noise_rate=rate)
        make([80.0, 82], noise_type="flip_noise", noise_rate=rate)
    make([80.0, 82], noise_type="flip_noise", noise_rate=0.4, flip_map="pair")
    lines = tables.latex([values(collection.collect(tmp_path))]).splitlines()
    (heads,) = (i for i, line in enumerate(lines) if "multicolumn" in line)
    assert lines[heads - 1] == r"\toprule"
    assert lines[heads] == (
        r" & \multicolumn{2}{l}{digits, flip\_noise} & \multicolumn{1}{l}{digits, flip\_noise "
        r"flip\_map=pair} & \multicolumn{2}{l}{digits, uniform\_noise} \\ "
        r"\cmidrule(lr){2-3} \cmidrule(lr){4-4} \cmidrule(lr){5-6}"
    )
    rates = re.sub(r"\s", "", lines[heads + 1])
    assert rates == r"method&0.2&0.4&0.4&0.2&0.4\\"


def test_best_is_not_bold_without_pairs(make, tmp_path):
    make([80.0, 80.1, 80.2], noise_rate=0.2)
    make([90.0, 90.1, 90.2], noise_rate=0.2, wd_coef=1e-4, seed=7)
    assert not any(x.bold for x in values(collection.collect(tmp_path)).values.values())


def test_cells_say_how_many_repeats_are_left(make, tmp_path):
    make([80.0, 82, np.nan], noise_rate=0.2)
    make([np.nan] * 2, noise_rate=0.4)
    texts = {x.text for x in values(collection.collect(tmp_path)).values.values()}
    assert texts == {"81.00 ± 1.00 (2 of 3)", "diverged"}


def test_files_hold_the_same_numbers(make, tmp_path):
    make([80.0, 82, 84], noise_rate=0.2)
    make([81.0, 83.1, 84.9], noise_rate=0.2, wd_coef=1e-4)
    make([70.0, 71, 72], noise_rate=0.4)
    report.write(tmp_path, tmp_path / "report")
    out = tmp_path / "report"
    markdown, latex = ((out / f"report.{kind}").read_text() for kind in ("md", "tex"))
    assert "**83.00 ± 1.59**" in markdown and "82.00 ± 1.63" in markdown
    assert r"\textbf{83.00 $\pm$ 1.59}" in latex and r"wd\_0.0001" in latex
    assert re.search(r"^\| wd_0.0001 .*\| – +\|$", markdown, re.M)  # the run that is missing
    with open(out / "report.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    (row,) = (x for x in rows if x["method"] == "wd_0.0001")
    assert float(row["last_mean"]) == pytest.approx(83.0) and row["n"] == "3"
    assert {x.name for x in out.iterdir()} == {
        "report.html", "report.md", "report.tex", "report.csv",
        "accuracy_by_rate_last.png", "accuracy_by_rate_last.pdf",
        "accuracy_by_rate_last_ten.png", "accuracy_by_rate_last_ten.pdf",
        "accuracy_by_rate_best_clean_valid.png", "accuracy_by_rate_best_clean_valid.pdf",
        "accuracy_by_rate_best_noisy_valid.png", "accuracy_by_rate_best_noisy_valid.pdf",
    }  # fmt: skip


def test_wrong_labels_found_and_noise_estimated_are_tables(make, tmp_path):
    found = {"mixture_f1": [0.8, 0.9], "anchor_rate": [0.2, 0.4], "confident_rate": [np.nan] * 2}
    make([80.0, 82], noise_rate=0.4, detection=found)
    make([80.0, 82], noise_rate=0.4, wd_coef=1e-4)  # an older run
    make([80.0, np.nan], noise_rate=0.4, do_sn=True, detection=found)
    report.write(tmp_path, tmp_path / "report")
    markdown, latex, page = (
        (tmp_path / "report" / f"report.{kind}").read_text() for kind in ("md", "tex", "html")
    )
    rows = re.findall(r"^\| (no_reg|wd_0.0001|sn) +\|.*\|$", markdown.split("## Wrong")[1], re.M)
    assert sorted(rows) == ["no_reg", "no_reg", "sn", "sn", "wd_0.0001"]
    wrong, noise = markdown.split("## Wrong")[1].split("## Noise estimated")
    (older,) = re.findall(r"^\| wd_0.0001 .*$", wrong, re.M)
    assert older.count("0.000 ± 0.000") == 2 and older.count(" – ") == 4
    (plain,) = re.findall(r"^\| no_reg .*$", wrong, re.M)
    assert "| 0.850 ± 0.050" in plain and "| 30.00 " in plain  # F1; the true rate
    (plain,) = re.findall(r"^\| no_reg .*$", noise, re.M)
    assert "| 30.0 ± 10.0 " in plain and plain.count(" – ") == 1
    (one,) = re.findall(r"^\| sn .*$", noise, re.M)
    assert "| 1 " in one and "| 20.0 ± 0.0 " in one
    assert r"30.0 $\pm$ 10.0" in latex and '<td class="number">30.0 ± 10.0</td>' in page
    assert "<h2>Wrong labels found</h2>" in page and "<h2>Noise estimated</h2>" in page
    with open(tmp_path / "report" / "report.csv", newline="") as file:
        cells = {row["method"]: row for row in csv.DictReader(file)}
    assert float(cells["no_reg"]["anchor_rate_mean"]) == pytest.approx(0.3)
    assert cells["wd_0.0001"]["anchor_rate_mean"] == ""
    assert "confident_rate_mean" not in cells["no_reg"]


def test_without_any_wrong_label_there_is_no_table_of_them(make, tmp_path):
    folder = make([80.0, 82])
    edited = json.loads((folder / "scores.json").read_text())
    edited["mean"] |= {"noise_auroc": None, "noise_aupr": None}
    (folder / "scores.json").write_text(json.dumps(edited))
    page = report.write(tmp_path, tmp_path / "report").read_text()
    assert "Wrong labels found" not in page and "Noise estimated" not in page
    assert "##  Wrong" not in (tmp_path / "report" / "report.md").read_text()


def test_report_replaces_itself_and_nothing_else(make, tmp_path):
    make([80.0, 82])
    out = tmp_path / "report"
    first = report.write(tmp_path, out).read_bytes()
    assert report.write(tmp_path, out).read_bytes() == first
    (out / "report.html").write_text("my own page")
    with pytest.raises(InputError, match="is not a report"):
        report.write(tmp_path, out)
    assert (out / "report.html").read_text() == "my own page"


def test_a_report_loads_no_jax():
    told = subprocess.run(
        [sys.executable, "-c", "import sys, jaxnoise.report.__main__; print(*sys.modules)"],
        check=True, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert "bokeh" in told.stdout.split() and not {"jax", "flax"} & set(told.stdout.split())


def test_progress_is_shown_on_a_terminal_alone(make, tmp_path, monkeypatch, capsys):
    make([80.0, 82])
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    assert main([str(tmp_path)]) == 0
    shown = capsys.readouterr().err
    assert all(x in shown for x in ("reading runs", "reading curves", "drawing figures"))


# The page


def test_page_needs_nothing_beside_it_and_escapes_what_it_shows(make, tmp_path):
    folder = make([80.0, 82], noise_rate=0.2)
    document = json.loads((folder / "config.json").read_text())
    document["flags"]["results_dir"] = "<script>alert(1)</script>"
    (folder / "config.json").write_text(json.dumps(document))
    page = report.write(tmp_path, tmp_path / "report").read_text()
    assert "<script>alert" not in page and r"\u003cscript>alert" in page
    assert "default-src 'none'" in page  # a browser lets it load nothing
    shown = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert [x for x in re.findall(r"(?:src|href)=\"?([^ >]+)", shown) if x[0] != "#"] == []
    assert "@import" not in shown and "url(http" not in shown


def test_page_shows_its_tables_without_scripts(make, tmp_path):
    make([80.0, 82], noise_rate=0.2)
    page = report.write(tmp_path, tmp_path / "report").read_text()
    shown = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert shown.count("81.00 ± 1.00") == 2  # among the methods and among the runs
    assert "need JavaScript" in shown


def test_page_in_a_browser(make, tmp_path, browser):
    for i, rate in enumerate((0, 0.1, 0.2, 0.3, 0.4)):
        for j, wd in enumerate((0, 1e-5, 1e-4, 1e-3)):
            make([70.0 + i + j, 71 + i + j], noise_rate=rate, wd_coef=wd)
            make([60.0 + i + j, np.nan], noise_rate=rate, wd_coef=wd, loss="sce", sce_alpha=0.123,
                 sce_beta=4.567, do_sn=True, sn_cap=2.345, entropy_coef=0.1)  # fmt: skip
    (make([50.0, 51], noise_type="flip_noise") / "scores.json").unlink()
    page = report.write(tmp_path, tmp_path / "report")

    def js(code):
        return browser.execute_script(f"return {code}")

    def click(selector):
        browser.execute_script(f"document.querySelector({selector!r}).click()")

    def column(number):
        rows = "[...document.querySelectorAll('#runs tbody tr')].filter(x => !x.hidden)"
        return js(f"{rows}.map(x => x.cells[{number}].textContent.trim())")

    for width in (390, 1400):
        size = dict(width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(page.as_uri())
        assert js("document.documentElement.scrollWidth <= innerWidth"), width
    assert len(column(0)) == 41
    # Sorting by the last epoch's accuracy, both ways; what has none stays below.
    (place,) = (i for i, x in enumerate(
        js("[...document.querySelectorAll('#runs thead th')].map(x => x.textContent.trim())")
    ) if x == "last epoch")  # fmt: skip
    heading = f"#runs thead th:nth-child({place + 1})"
    for order in ("ascending", "descending"):
        click(f"{heading} button")
        assert js(f"document.querySelector({heading!r}).getAttribute('aria-sort')") == order
        *found, last = column(place)
        numbers = [float(x.split()[0]) for x in found]
        assert numbers == sorted(numbers, reverse=order == "descending") and last == "–"
    # Filters.
    browser.execute_script(
        "document.getElementById('text').value = 'SCE';"
        "document.querySelector('[data-of=noise]').value = 'uniform_noise_0.2';"
        "document.getElementById('filters').dispatchEvent(new Event('input'))"
    )
    assert len(column(0)) == 4 and all(x.startswith("sce") for x in column(0))
    assert js("document.getElementById('count').textContent") == "4 of 41 runs"
    # Details, by the keyboard.
    browser.execute_script("document.querySelector('#runs tr:not([hidden]) [data-run]').focus()")
    browser.switch_to.active_element.send_keys("\n")
    assert js("document.getElementById('details').open")
    shown = js("document.getElementById('details').innerText")
    assert "python main.py --dataset=digits" in shown and "--sce_alpha=0.123" in shown
    click("#details [data-close]")
    assert not js("document.getElementById('details').open")
    # Another selection's table.
    browser.execute_script(
        "const select = document.getElementById('selection'); select.value = 'oracle_test';"
        "select.dispatchEvent(new Event('change'))"
    )
    assert js("[...document.querySelectorAll('[data-selection]')].filter(x => !x.hidden)"
              ".map(x => x.dataset.selection)") == ["oracle_test"] * 2  # fmt: skip
    assert [x for x in browser.get_log("browser") if x["level"] != "INFO"] == []


@pytest.mark.parametrize("length", [6, 20, 55, 200])
def test_legend_fits_into_the_figure_however_long_its_names_are(length, make, tmp_path):
    for rate in (0.2, 0.4):
        for coefficient in (0.0, 1e-4, 1e-3, 1e-2):
            make([80.0, 81.0], noise_rate=rate, wd_coef=coefficient)
    entries = [x._replace(method=f"{x.method:x<{length}}") for x in collection.collect(tmp_path)]
    figure = by_rate(entries, "last", looks(entries))
    add_legend(figure)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box, whole = legend.get_window_extent(), figure.bbox
    assert whole.x0 <= box.x0 and box.x1 <= whole.x1


def test_bars_reach_from_the_lowest_to_the_highest_repeat(make, tmp_path):
    make([80.0, 82, 87], noise_rate=0.2, wd_coef=1e-4)
    make([70.0, 71, np.nan], noise_rate=0.4, wd_coef=1e-4)
    make([99.0, 100, 100], noise_rate=0.2)
    entries = collection.collect(tmp_path)
    (axes,) = by_rate(entries, "last", looks(entries)).get_axes()
    means = {line.get_color(): line.get_ydata().tolist() for line in axes.get_lines()}
    assert means[colours.BLUE] == [83, 70.5] and means[colours.BLACK] == pytest.approx([299 / 3])
    ends = [sorted(y for _, y in path.vertices) for bars in axes.collections
            for path in bars.get_paths()]  # fmt: skip
    assert ends == [[99, 100], [80, 87], [70, 71]] or ends == [[80, 87], [70, 71], [99, 100]]


def test_a_method_looks_as_in_the_legend_also_in_a_figure_that_lacks_another(make, tmp_path):
    """The first of two weight decays has no rate, so only the second is in the figure."""
    make([80.0, 81], noise_type="human_noise", human_labels="worse_label", dataset="cifar10_n",
         wd_coef=1e-2)  # fmt: skip
    for rate in (0.2, 0.4):
        make([80.0, 81], noise_rate=rate, wd_coef=1e-4)
    entries = collection.collect(tmp_path)
    shown = looks(entries)
    figure = by_rate(entries, "last", shown)
    add_legend(figure)
    (line,) = figure.axes[0].get_lines()
    (method,) = (name for name in shown if "0.0001" in name)
    assert len(shown) == 2 and len({look[1:] for look in shown.values()}) == 2
    drawn = method, line.get_color(), line.get_linestyle(), line.get_marker()
    assert drawn == shown[method]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [method]


def test_cost_is_that_of_a_repeat_at_the_highest_rate(make, tmp_path):
    for rate in (0.2, 0.4):
        for wd in (0.0, 1e-4):
            make([80.0, 82], facts={"training_seconds_per_repeat": 50 * (1 + (wd > 0)) + rate},
                 noise_rate=rate, wd_coef=wd)  # fmt: skip
    make([90.0, 92], noise_rate=0.4, do_sn=True)  # has recorded no time
    entries = collection.collect(tmp_path)
    (axes,) = by_cost(entries, "last", looks(entries)).get_axes()
    assert sorted(x for line in axes.get_lines() for x in line.get_xdata()) == [50.4, 100.4]
    assert "uniform_noise_0.4" in axes.get_title() and "log scale" in axes.get_xlabel()


def test_page_says_how_its_runs_were_made(make, tmp_path):
    make([80.0], facts={"started": "2026-11-25T20:15:23+0000", "git_revision": "0123456789abcdef",
                        "versions": {"python": "3.11.7", "jax": "0.10.2"},
                        "device": {"kind": "cpu"},
                        "command": ["main.py", "--noise_rate=0 1"]})  # fmt: skip
    make([80.0], facts={"started": "2026-11-26T20:15:23+0000", "git_revision": None,
                        "versions": {"python": "3.11.7", "jax": "0.12.0"},
                        "device": {}, "command": ["jaxnoise.sweep", "--wd_coef=0,1"]},
         wd_coef=1.0)  # fmt: skip
    make([80.0], wd_coef=2.0)  # older: records none of it
    entries = collection.collect(tmp_path)
    assert made_by.lines(entries) == [
        "Runs begun: 2026-11-25 to 2026-11-26",
        "Versions: python 3.11.7, jax 0.10.2 / 0.12.0",
        "Hardware: cpu",
        "Code: 0123456789ab",
    ]
    assert sorted(made_by.commands(entries)) == [
        "python -m jaxnoise.sweep --wd_coef=0,1", "python main.py '--noise_rate=0 1'",
    ]  # fmt: skip
    page = report.write(tmp_path, tmp_path / "report").read_text()
    assert "The 2 commands that made the runs" in page and "jax 0.10.2 / 0.12.0" in page


def test_runs_with_and_without_validation_stand_side_by_side(make, tmp_path):
    make([80.0, 82], noise_rate=0.2)
    make([81.0, 83], noise_rate=0.2, wd_coef=1e-4)
    make([85.0, 86], noise_rate=0.2, validation_ratio=0.0)
    make([86.0, 88], noise_rate=0.2, validation_ratio=0.0, wd_coef=1e-4)
    make([70.0, 71], noise_rate=0.2, epochs_num=7)
    report.write(tmp_path, tmp_path / "report")
    entries = collection.collect(tmp_path)
    without, short = (
        next(x.method for x in entries if told in x.method)
        for told in ("no_reg validation_ratio=0.0", "no_reg epochs_num=7")
    )
    shown = {
        (name, method): {x[0]: x[1:] for x in values(entries, name).rows()}[method]
        for name in ("last_ten", "best_clean_valid") for method in ("no_reg", without, short)
    }  # fmt: skip
    assert shown == {
        ("last_ten", "no_reg"): ["80.00 ± 1.00"], ("best_clean_valid", "no_reg"): ["78.00 ± 1.00"],
        ("last_ten", without): ["84.50 ± 0.50"], ("best_clean_valid", without): ["–"],
        ("last_ten", short): ["–"], ("best_clean_valid", short): ["67.50 ± 0.50"],
    }  # fmt: skip
    assert any(
        note.startswith("– marks what a run does not have") for note in tables.notes(entries)
    )
    with open(tmp_path / "report" / "report.csv", newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert rows[without]["best_clean_valid_mean"] == "" and rows[without]["last_ten_mean"] == "84.5"


def test_an_average_of_weights_is_shown_where_a_run_has_one(make, tmp_path):
    make([80.0, 82], noise_rate=0.2)
    words = "EMA of the weights"
    page = report.write(tmp_path, tmp_path / "report")
    files = [page, *(page.with_suffix(f".{kind}") for kind in ("md", "tex", "csv"))]
    assert not [x for x in files if words in (text := x.read_text()) or "ema_last" in text]
    make([70.0, 72], noise_rate=0.2, wd_coef=1e-4, ema_decay=0.9)
    report.write(tmp_path, tmp_path / "report")
    entries = collection.collect(tmp_path)
    (averaged,) = (entry.method for entry in entries if "wd" in entry.method)
    assert {x[0]: x[1:] for x in values(entries, "ema_last").rows()} == {
        "no_reg": ["–"], averaged: ["69.00 ± 1.00"],
    }  # fmt: skip
    assert '<option value="ema_last">' in page.read_text()
    assert any(note.endswith("requires --ema_decay.") for note in tables.notes(entries))
    with open(page.with_suffix(".csv"), newline="") as file:
        rows = {row["method"]: row["ema_last_mean"] for row in csv.DictReader(file)}
    assert rows == {"no_reg": "", averaged: "69.0"}


def test_page_of_runs_without_validation_begins_with_the_last_epoch(make, tmp_path):
    make([80.0, 82], noise_rate=0.2, validation_ratio=0.0)
    make([81.0, 83], noise_rate=0.4, validation_ratio=0.0)
    page = report.write(tmp_path, tmp_path / "report")
    assert '<option value="last" selected>' in page.read_text()
    drawn = {path.name for path in (tmp_path / "report").glob("*.png")}
    assert drawn == {"accuracy_by_rate_last.png", "accuracy_by_rate_last_ten.png"}


def test_runs_of_two_versions_of_a_file_are_two_methods(make, tmp_path):
    path = tmp_path / "mine.py"
    for scale in (1, 2):
        path.write_text(
            "import jaxnoise\n@jaxnoise.loss\ndef mine(*, logits, labels):\n"
            f"  return {scale} * logits[:, 0]\n"
        )
        make([80.0, 81.0], user_code=str(path), loss="mine", net="allcnn")
    make([80.0, 81.0])
    found = collection.collect(tmp_path)
    names = {entry.method for entry in found}
    assert len(names) == 3 and "no_reg net=lenet" in names
    names.remove("no_reg net=lenet")
    assert all(re.fullmatch(r"allcnn_mine user_code=mine\.py@\w{8}", name) for name in names)
