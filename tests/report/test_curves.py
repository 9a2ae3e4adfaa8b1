"""The curves of runs in a page: their numbers, what they add to it, and what a browser shows."""

import html.parser
import json

import matplotlib.figure
import numpy as np
import pytest

from jaxnoise.figures.colours import MEMORIZATION, SETS
from jaxnoise.report import curves, plots
from jaxnoise.report import page as report
from jaxnoise.runs.files import read_arrays
from jaxnoise.runs.history import write_history

# Four significant digits.
CLOSE = dict(rel=5e-4, abs=1e-9)


def history(epochs=7, repeats=3, seed=0):
    """Curves that all differ, in percent."""
    rng = np.random.default_rng(seed)
    return {name: np.float32(rng.uniform(1, 99, (epochs, repeats))) for name in curves.BY_EPOCH}


def diverging(at):
    """The same, with repeats that diverge at these epochs, counted from 1; 0: never."""
    found = history(repeats=len(at))
    for values in found.values():
        for repeat, epoch in enumerate(at):
            values[epoch - 1 if epoch else len(values) :, repeat] = np.nan
    return found


def columns(found):
    """Mean and std by name, of the panels of a history."""
    both = [[*found["accuracy"][which], *found["memorization"][which]] for which in ("mean", "std")]
    return dict(zip(curves.BY_EPOCH, zip(*both, strict=True), strict=True))


class Page(html.parser.HTMLParser):
    """The scripts of a page, as a browser takes them apart."""

    def __init__(self, path):
        super().__init__()
        self.scripts, self._within = [], False
        self.feed(path.read_text(encoding="utf-8"))
        self.data = json.loads(self.scripts[0])

    def handle_starttag(self, tag, attrs):
        self._within = tag == "script"
        if self._within:
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._within = False

    def handle_data(self, data):
        if self._within:
            self.scripts[-1] += data

    def config(self, run):
        return "\n".join(self.data["lines"][place] for place in self.data["runs"][run]["config"])


# Numbers


def test_numbers_are_those_of_the_history(make, tmp_path):
    folder = make([80.0, 82, 84])
    write_history(folder, history())
    (run,) = Page(report.write(tmp_path, tmp_path / "report")).data["runs"]
    assert run["over"] == "mean ± std over 3 repeats"
    written, found = read_arrays(folder / "history.npz"), columns(run["curves"])
    assert set(found) == set(curves.BY_EPOCH)
    for name, (mean, std) in found.items():
        assert mean == pytest.approx(list(written[name].mean(axis=1)), **CLOSE)
        assert std == pytest.approx(list(written[name].std(axis=1)), **CLOSE)


def test_repeats_that_diverged_are_left_out(tmp_path):
    written = diverging([0, 3, 0])
    for name, (mean, std) in columns(curves.of_run(written, tmp_path)).items():
        survived = written[name][:, [0, 2]]
        assert mean == pytest.approx(list(survived.mean(axis=1)), **CLOSE)
        assert std == pytest.approx(list(survived.std(axis=1)), **CLOSE)


def test_curves_end_where_the_first_diverges_if_all_do(tmp_path):
    for mean, std in columns(curves.of_run(diverging([4, 6]), tmp_path)).values():
        assert [x is None for x in mean] == [x is None for x in std] == [False] * 3 + [True] * 4
    assert curves.of_run(diverging([1, 1]), tmp_path) == {}


def test_one_repeat_has_no_spread(tmp_path):
    for mean, std in columns(curves.of_run(history(repeats=1), tmp_path)).values():
        assert len(mean) == 7 and std is None


def test_without_noise_changed_labels_have_no_curves(tmp_path):
    written = history()
    for name in MEMORIZATION:
        if name.startswith("changed"):
            written[name][:] = np.nan
    found = columns(curves.of_run(written, tmp_path))
    assert {name for name, (mean, _) in found.items() if mean is None} == {
        "changed_as_true", "changed_as_noisy", "changed_as_neither",
    }  # fmt: skip


def test_without_validation_there_is_no_curve_of_it(tmp_path):
    written, whole = history(), columns(curves.of_run(history(), tmp_path))
    del written["valid_accuracy"]
    found = columns(curves.of_run(written, tmp_path))
    assert found.pop("valid_accuracy") == (None, None)
    assert found == {name: x for name, x in whole.items() if name != "valid_accuracy"}


def test_huge_values_have_a_finite_spread(tmp_path):
    written = history(repeats=2)
    written["test_accuracy"][0] = [0, 2e38]
    mean, std = columns(curves.of_run(written, tmp_path))["test_accuracy"]
    assert (mean[0], std[0]) == (1e38, 1e38)


def test_spectrum_is_the_mean_of_shares(tmp_path):
    rng = np.random.default_rng(0)
    power = {f"{name}_power": rng.uniform(1, 2, (2, 5, 3, 9)) for name in ("clean", "test")}
    np.savez(tmp_path / "spectrum.npz", frequencies=np.arange(9) / 7, **power)
    found = curves.of_run(history(), tmp_path)["spectrum"]
    assert found["x"] == pytest.approx(list(np.arange(1, 8) / 7), **CLOSE)
    clean, changed, test = found["mean"]
    assert list(SETS) == ["clean", "changed", "test"] and changed is None
    for mean, name in ((clean, "clean"), (test, "test")):
        random = power[f"{name}_power"][:, :, 0]
        share = random / random.sum(axis=-1, keepdims=True)
        assert mean == pytest.approx(list(share.mean(axis=(0, 1))[1:-1]), **CLOSE)


@pytest.mark.parametrize("damage", ["no epochs", "a missing curve", "text", "a cut spectrum"])
def test_damaged_files_have_no_curves_and_the_page_is_there(damage, make, tmp_path):
    folder, written = make([80.0, 82]), history(repeats=2)
    if damage == "no epochs":
        written = history(epochs=0, repeats=2)
    elif damage == "a missing curve":
        del written["changed_as_noisy"]
    elif damage == "text":
        written["valid_accuracy"] = np.array([["a", "b"]] * 7)
    else:
        (folder / "spectrum.npz").write_bytes(b"PK\3\4 cut short")
    np.savez(folder / "history.npz", **written)
    (run,) = Page(report.write(tmp_path, tmp_path / "report")).data["runs"]
    assert run["curves"] == {} and run["over"] == "" and run["command"]


# What they add to the page


def test_no_name_ends_a_script_and_config_json_is_whole(make, tmp_path):
    folder = make([80.0, 82], noise_rate=0.2)
    named = folder.rename(folder.with_name("<!--<script>alert(1)&lt;'\"\u2028-12345678"))
    make([80.0, 82], noise_rate=0.4)
    document = json.loads((named / "config.json").read_text())
    document["flags"]["results_dir"] = "</script><script>alert(1)</script>"
    (named / "config.json").write_text(json.dumps(document, indent=2))
    page = Page(report.write(tmp_path, tmp_path / "report"))
    assert len(page.scripts) == 3  # numbers, Bokeh and the page's own
    run, other = (page.data["runs"][i] for i in (0, 1))
    assert run["folder"] == str(named) and run["title"].startswith("<!--<script>alert(1)&lt;'\"")
    assert json.loads(page.config(0)) == document
    assert run["config"][-5:] == other["config"][-5:]  # lines that runs share stand there once


def test_a_further_run_adds_no_figure_and_little_to_the_page(make, tmp_path, monkeypatch):
    figures, sizes = [], []
    initialize = matplotlib.figure.Figure.__init__

    def counted(self, *args, **kwargs):
        figures[-1] += 1
        initialize(self, *args, **kwargs)

    monkeypatch.setattr(matplotlib.figure.Figure, "__init__", counted)
    more = 10
    for wd_coefs in ((0, 1e-4), [(i + 2) * 1e-4 for i in range(more)]):
        for wd_coef in wd_coefs:
            write_history(make([80.0, 82], noise_rate=0.2, wd_coef=wd_coef), history(repeats=2))
        make([80.0, 82], noise_rate=0.4, wd_coef=wd_coefs[0])
        figures.append(0)
        sizes.append(report.write(tmp_path, tmp_path / "report").stat().st_size)
    assert figures == [4, 4]  # accuracy against noise rate for four selections
    assert (sizes[1] - sizes[0]) / (more + 1) < 10_000


# In a browser


def test_plots_have_the_colours_of_other_figures_and_say_what_they_show():
    for name, panel in curves.PANELS.items():
        drawn = json.dumps(plots.plots()[name], ensure_ascii=False)
        assert panel.x in drawn and panel.y in drawn
        for look in panel.looks.values():
            assert look.label in drawn and look.colour in drawn


def deep(code):
    """JavaScript that finds elements in shadow roots too, by `all(selector)`."""
    return (
        "const all = (selector, root = document) => [...root.querySelectorAll(selector), ..."
        "[...root.querySelectorAll('*')].filter(x => x.shadowRoot)"
        f".flatMap(x => all(selector, x.shadowRoot))]; {code}"
    )


def test_curves_are_drawn_when_a_run_is_opened_and_hovering_tells_values(make, tmp_path, browser):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    first, second = make([80.0, 82, 84], noise_rate=0.2), make([80.0], noise_rate=0.4)
    write_history(first, diverging([0, 4, 0]))
    write_history(second, history(epochs=1, repeats=1))
    np.savez(
        first / "spectrum.npz", frequencies=np.arange(9) / 7,
        **{f"{name}_power": np.ones((3, 5, 3, 9)) / (1 + np.arange(9)) for name in SETS},
    )  # fmt: skip
    page = report.write(tmp_path, tmp_path / "report")
    size = dict(width=1400, height=900, deviceScaleFactor=1, mobile=False)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())

    def drawn():
        return browser.execute_script(deep("return all('.bk-Figure').length"))

    def told():
        """What stands beside the pointer."""
        texts = "return all('.bk-Tooltip').flatMap(x => all('div > table', x.shadowRoot))"
        return browser.execute_script(deep(f"{texts}.map(x => x.parentNode.innerText)"))

    def opened(run):
        browser.execute_script(f"document.querySelector('[data-run=\"{run}\"]').click()")

    def hovered(plot):
        box = browser.find_elements("css selector", "#details .plot")[plot]
        ActionChains(browser).move_to_element_with_offset(box, 20, -30).perform()
        (text,) = WebDriverWait(browser, 20).until(lambda _: told())
        return text.replace("\t", " ")

    assert drawn() == 0
    opened(0)
    WebDriverWait(browser, 20).until(lambda _: drawn() == 3)
    text = hovered(0)
    epoch = int(text.split("epoch: ")[1].split("\n")[0])
    survived = read_arrays(first / "history.npz")["test_accuracy"][epoch - 1, [0, 2]]
    assert f"test {survived.mean():.2f} ± {survived.std():.2f}" in text
    browser.execute_script("document.querySelector('#details [data-close]').click()")
    WebDriverWait(browser, 20).until(lambda _: drawn() == 0 and not told())
    opened(1)
    WebDriverWait(browser, 20).until(lambda _: drawn() == 2)
    text = hovered(1)
    value = read_arrays(second / "history.npz")["unchanged_right"].item()
    assert "epoch: 1" in text and f"{value:.2f}" in text and "±" not in text
    assert [x for x in browser.get_log("browser") if x["level"] != "INFO"] == []
    events = (json.loads(x["message"])["message"] for x in browser.get_log("performance"))
    asked = [x["params"]["request"]["url"] for x in events if x["method"].endswith("BeSent")]
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
