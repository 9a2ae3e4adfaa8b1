"""The page in a real browser: nothing overlaps, nothing is cut, and the address keeps choices."""

import contextlib
import json

import numpy as np
import pytest

from jaxnoise.report import collection
from jaxnoise.report import page as report
from jaxnoise.runs.pairs import differences, unpaired_because

# Finds what is wrong with the layout of visible elements, as lines of text.
FAULTS = """
const faults = [], said = element => `${element.tagName} ${element.className} ` +
  `${element.textContent.trim().slice(0, 30)}`;
const scrolls = element => element.closest(".box, .figure, pre, svg, select") !== null;
const visible = element => element.checkVisibility() && element.getClientRects().length > 0;
if (document.documentElement.scrollWidth > innerWidth) faults.push("the page scrolls sideways");
const checked = "h1, h2, h3, p, li, label, select, button, td, th, .figure, .plot, .legend, " +
  "dialog, .box, table.scores";
for (const element of document.querySelectorAll(checked)) {
  if (!visible(element)) continue;
  const box = element.getBoundingClientRect();
  if (!scrolls(element.parentNode) && (box.right > innerWidth + 1 || box.left < -1))
    faults.push(`beyond the edge: ${said(element)}`);
  const wide = element.clientWidth > 0 && element.scrollWidth > element.clientWidth + 1;
  if (wide && !element.matches(".box, .figure, select, dialog")
      && getComputedStyle(element).display !== "inline")
    faults.push(`cut: ${said(element)}`);
}
const overlap = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
  && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
const parents = "body, .beside, .figures, .legend, form, .choose, .plots, dialog, .columns, header";
for (const parent of document.querySelectorAll(parents)) {
  const shown = [...parent.children].filter(child => visible(child) && child.tagName !== "DIALOG");
  shown.forEach((child, i) => shown.slice(i + 1).forEach(other => {
    if (overlap(child.getBoundingClientRect(), other.getBoundingClientRect()))
      faults.push(`overlap: ${said(child)} and ${said(other)}`);
  }));
}
for (const svg of document.querySelectorAll(".figure svg")) {
  if (!visible(svg)) continue;
  const whole = svg.getBoundingClientRect();
  for (const text of svg.querySelectorAll("text")) {
    const box = text.getBoundingClientRect();
    if (box.left < whole.left - 1 || box.right > whole.right + 1 || box.bottom > whole.bottom + 1)
      faults.push(`outside of its figure: ${text.textContent}`);
  }
}
return faults;
"""


@pytest.fixture
def look(browser):
    """Opens a page at a width, in light or dark; returns a function that runs a script in it."""

    def look(page, width, scheme="light", address=""):
        size = dict(width=width, height=900, deviceScaleFactor=1, mobile=False)
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        browser.get("data:,")  # else another address of the same page is no new page
        browser.get(page.as_uri() + address)
        return browser.execute_script

    return look


def runs(make, number):
    """So many finished runs: methods under growing noise."""
    rng = np.random.default_rng(0)
    facts = {
        "started": "2026-11-26T20:15:23+0000", "versions": {"python": "3.11.7", "jax": "0.10.2"},
        "command": ["jaxnoise.sweep", "--grid=docs/gallery.yaml"],
        "training_seconds_per_repeat": 100.0,
    }  # fmt: skip
    rates = [0.0, 0.2, 0.4, 0.6] if number > 1 else [0.4]
    for i in range(number):
        rate, method = rates[i % len(rates)], i // len(rates)
        settings = [
            {}, {"wd_coef": 1e-4}, {"do_sn": True}, {"jacob_coef": 1e-3}, {"entropy_coef": 1.0},
        ]  # fmt: skip
        more = settings[method] if method < 5 else {"wd_coef": method * 1e-3}
        facts["training_seconds_per_repeat"] += 1
        make(list(90 - 40 * rate + rng.normal(0, 1, 3)), facts=dict(facts), noise_rate=rate, **more)


@pytest.mark.parametrize("number", [1, 20, 400])
def test_nothing_overlaps_and_nothing_is_cut(number, make, tmp_path, look):
    runs(make, number)
    page = report.write(tmp_path, tmp_path / "report")
    for width in (400, 800, 1400):
        for scheme in ("light", "dark"):
            script = look(page, width, scheme)
            assert script(FAULTS) == [], (width, scheme)
        script("document.querySelector('[data-run]').click()")
        assert script(FAULTS) == [], f"details at {width}"
    if number > 1:  # two rows of two figures, their legend beside them
        script = look(page, 1400)
        tops, right, left = script("""
            const figures = [...document.querySelector(".figures").children];
            const boxes = figures.map(figure => figure.getBoundingClientRect());
            const legend = document.querySelector(".legend").getBoundingClientRect();
            return [boxes.map(box => box.top), boxes.at(-1).right, legend.left];
        """)
        assert len(tops) == 4 and tops[0] == tops[1] < tops[2] == tops[3] and left >= right


def test_a_fault_is_found(make, tmp_path, look):
    runs(make, 1)
    script = look(report.write(tmp_path, tmp_path / "report"), 400)
    for damage, fault in (
        ("document.querySelector('h1').style = 'width: 3rem; white-space: nowrap; "
         "overflow: hidden'", "cut"),
        ("document.querySelector('.made').style = 'position: relative; top: 3rem'", "overlap"),
        ("document.querySelector('h2').style = 'width: 90rem'", "beyond"),
    ):  # fmt: skip
        script(damage)
        assert any(line.startswith(fault) for line in script(FAULTS)), fault


def test_choices_stand_in_the_address(make, tmp_path, look):
    runs(make, 20)
    page = report.write(tmp_path, tmp_path / "report")
    script = look(page, 1400)
    assert script("return location.hash") == ""
    script("""
        const choose = (id, value, event) => {
          const field = document.querySelector(id);
          field.value = value;
          field.dispatchEvent(new Event(event, {bubbles: true}));
        };
        choose("#selection", "last", "change");
        choose("#baseline", "sn", "change");
        choose("[data-of=noise]", "uniform_noise_0.4", "input");
        const head = [...document.querySelectorAll("#runs th button")]
          .find(button => button.textContent === "last epoch");
        head.click();
        head.click();
    """)
    address = script("return location.hash")
    state = """
        const rows = [...document.querySelectorAll("#runs tbody tr")].filter(row => !row.hidden);
        const [selection, baseline] = ["#selection", "#baseline"].map(
          id => document.querySelector(id).value);
        return [selection, baseline, document.querySelector(".less").textContent,
          rows.map(row => row.cells[0].textContent + row.cells[3].textContent)];
    """
    chosen = script(state)
    assert chosen[:3] == ["last", "sn", "sn"] and len(chosen[3]) == 5
    assert look(page, 1400, address=address)(state) == chosen
    assert look(page, 1400, address="#selection=nonsense&sort=nothing&baseline=x")(state)[0] == (
        "best_clean_valid"
    )


def test_differences_from_any_method_are_those_of_python(make, tmp_path, look):
    rng = np.random.default_rng(1)
    for settings in ({}, {"wd_coef": 1e-4}, {"do_sn": True}):
        make(list(80 + rng.normal(0, 1, 5)), noise_rate=0.4, **settings)
    make([70.0, np.nan, 71, 72], noise_rate=0.4, entropy_coef=1.0)  # a repeat diverged
    make([70.0, 71, 72], noise_rate=0.4, jacob_coef=1.0, seed=7)  # no pairs
    script = look(report.write(tmp_path, tmp_path / "report"), 1400)
    entries = {entry.method: entry.run for entry in collection.collect(tmp_path)}
    for baseline in ("no_reg", "sn"):
        script(f"const field = document.getElementById('baseline'); field.value = '{baseline}';"
               "field.dispatchEvent(new Event('change'))")  # fmt: skip
        shown = dict(
            script("""
            const box = document.querySelector("[data-less][data-selection=last]");
            return [...box.querySelectorAll("tbody tr")]
              .map(row => [...row.cells].map(cell => cell.textContent));
        """)
        )
        assert set(shown) == set(entries) - {baseline}
        for method, words in shown.items():
            if unpaired_because(entries[method], entries[baseline]):
                assert words == "–" and "jacob" in method, method
                continue
            expected = differences(entries[method], entries[baseline])["last"]
            mean, low, high = (f"{x:+.2f}".replace("-", "−") for x in expected)
            assert words == f"{mean} [{low}, {high}]", (method, baseline)


def test_details_show_the_scores(make, tmp_path, look):
    folder = make([80.0, 82], noise_rate=0.4)
    script = look(report.write(tmp_path, tmp_path / "report"), 1400)
    script("document.querySelector('[data-run]').click()")
    shown = script(
        "return [...document.querySelectorAll('dialog .scores tr')].map(r => r.innerText)"
    )
    names = json.loads((folder / "scores.json").read_text())["mean"]
    assert [row.split()[0] for row in shown] == list(names)


def test_print_hides_what_only_a_screen_can_use(make, tmp_path, browser):
    runs(make, 20)
    page = report.write(tmp_path, tmp_path / "report")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    with contextlib.ExitStack() as after:
        after.callback(browser.execute_cdp_cmd, "Emulation.setEmulatedMedia", {"media": ""})
        browser.get(page.as_uri())
        hidden = browser.execute_script("""
            return ["form", ".choose", "td:has(> button)"].map(
              what => [...document.querySelectorAll(what)].some(x => x.checkVisibility()));
        """)
        assert hidden == [False] * 3
        assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") == (
            "rgb(255, 255, 255)"
        )


def test_differences_of_what_a_run_does_not_have_are_dashes(make, tmp_path, look):
    for ratio, coefficients in ((0.1, (0.0, 1e-4)), (0.0, (0.0, 1e-4))):
        for i, wd_coef in enumerate(coefficients):
            make([80.0 + i, 82], noise_rate=0.2, validation_ratio=ratio, wd_coef=wd_coef)
    page = report.write(tmp_path, tmp_path / "report")
    methods = [entry.method for entry in collection.collect(tmp_path)]
    without = next(x for x in methods if x.startswith("no_reg validation_ratio=0"))
    script = look(page, 1400)
    assert script("return document.getElementById('selection').value") == "best_clean_valid"
    # Differences from a run that lacks the selection, and the curves of a run without validation.
    script(f"""
        const field = document.getElementById('baseline');
        field.value = {json.dumps(without)};
        field.dispatchEvent(new Event('change'));
    """)
    cells = script("""
        const found = {};
        for (const name of ["last", "best_clean_valid"]) {
          const box = document.querySelector(`[data-less][data-selection=${name}]`);
          found[name] = [...box.querySelectorAll("tbody tr")].map(row => row.cells[1].textContent);
        }
        return found;
    """)
    assert sum(text != "–" for text in cells["last"]) == 1  # its pair, with weight decay
    assert set(cells["best_clean_valid"]) == {"–"}
