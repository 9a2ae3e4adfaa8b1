"use strict";
const rows = [...document.querySelectorAll("#runs tbody tr")];
const dialog = document.getElementById("details");

const data = JSON.parse(document.getElementById("data").textContent);

// The tables of the chosen selection.
const selection = document.getElementById("selection");
function select() {
  for (const box of document.querySelectorAll("[data-selection]"))
    box.hidden = box.dataset.selection !== selection.value;
}

// Differences from the chosen method: mean and 95 % interval, paired t over repeats.
const baseline = document.getElementById("baseline");
function difference(run, other, name) {
  if (!run || !other || run.kind !== other.kind) return null;
  if (!run.accuracy[name] || !other.accuracy[name]) return null;  // one of them does not have it
  const pairs = run.accuracy[name].map((x, i) => [x, other.accuracy[name][i] ?? null])
    .filter(([x, y]) => x !== null && y !== null).map(([x, y]) => x - y);
  const n = pairs.length;
  if (n < 2) return null;
  const mean = pairs.reduce((a, b) => a + b) / n;
  const variance = pairs.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (n - 1);
  const half = data.compared.t[n - 2] * Math.sqrt(variance / n);
  return {mean, low: mean - half, high: mean + half};
}
function compare() {
  const signed = x => (x <= -0.005 ? "−" : "+") + Math.abs(x).toFixed(2);
  const {runs} = data.compared;
  for (const box of document.querySelectorAll("[data-less]")) {
    const places = [...box.querySelectorAll("thead th")].slice(1).map(head => head.dataset);
    const rows = [];
    for (const {value: method} of baseline.options) {
      if (method === baseline.value) continue;
      const row = document.createElement("tr"), head = document.createElement("th");
      head.scope = "row";
      head.textContent = method;
      row.append(head);
      for (const place of places) {
        const at = name => runs.find(run => run.method === name
          && run.dataset === place.dataset && run.noise === place.noise);
        const found = difference(at(method), at(baseline.value), box.dataset.selection);
        const cell = document.createElement("td");
        const words = document.createElement(!found ? "span"
          : found.low > 0 || found.high < 0 ? "strong" : "span");
        cell.className = "number";
        words.className = found ? "" : "soft";
        words.textContent = found
          ? `${signed(found.mean)} [${signed(found.low)}, ${signed(found.high)}]` : "–";
        cell.append(words);
        row.append(cell);
      }
      rows.push(row);
    }
    box.querySelector("tbody").replaceChildren(...rows);
    box.querySelector(".less").textContent = baseline.value;
  }
}

// What is chosen stands in the address, so that it survives a reload and can be sent.
const heads = [...document.querySelectorAll("#runs thead th")];
const fields = () => [...document.querySelectorAll("[data-of], #text, #selection, #baseline")];
const nameOf = field => field.dataset.of ?? field.id;
const defaults = Object.fromEntries(fields().map(field => [nameOf(field), field.value]));
function remember() {
  const chosen = new URLSearchParams();
  for (const field of fields())
    if (field.value !== defaults[nameOf(field)]) chosen.set(nameOf(field), field.value);
  const sorted = heads.find(head => head.ariaSort);
  if (sorted) chosen.set("sort", `${sorted.ariaSort === "ascending" ? "" : "-"}${sorted.innerText.trim()}`);
  history.replaceState(null, "", chosen.size ? `#${chosen}` : location.pathname + location.search);
}
function recall() {
  const chosen = new URLSearchParams(location.hash.slice(1));
  for (const field of fields()) {
    const value = chosen.get(nameOf(field)) ?? defaults[nameOf(field)];
    if (field.type === "search" || [...field.options].some(option => option.value === value))
      field.value = value;
  }
  select();
  compare();
  filter();
  const wanted = chosen.get("sort") ?? "", down = wanted.startsWith("-");
  const head = heads.find(each => each.innerText.trim() === wanted.slice(down ? 1 : 0));
  if (head) sort(head, !down);
}

// Filters.
function filter() {
  const text = document.getElementById("text").value.toLowerCase();
  const chosen = [...document.querySelectorAll("[data-of]")].filter(select => select.value);
  let shown = 0;
  for (const row of rows) {
    row.hidden = !row.cells[0].textContent.toLowerCase().includes(text)
      || chosen.some(select => row.dataset[select.dataset.of] !== select.value);
    shown += !row.hidden;
  }
  document.getElementById("count").textContent = `${shown} of ${rows.length} runs`;
}

// Sorting: what has no value stays below, whichever way.
function value(row, column) {
  const cell = row.cells[column], text = cell.dataset.sort ?? cell.textContent.trim();
  const number = Number.parseFloat(text);
  return text === "" || text === "–" ? null : Number.isNaN(number) ? text : number;
}
function sort(heading, up) {
  for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", up ? "ascending" : "descending");
  const column = heading.cellIndex;
  rows.sort((a, b) => {
    const [x, y] = [value(a, column), value(b, column)];
    if (x === null || y === null) return (x === null) - (y === null);
    const order = typeof x === "number" && typeof y === "number"
      ? x - y : String(x).localeCompare(String(y), "en", {numeric: true});
    return up ? order : -order;
  });
  document.querySelector("#runs tbody").append(...rows);
}
for (const button of document.querySelectorAll("#runs thead button"))
  button.addEventListener("click", () => {
    sort(button.parentNode, button.parentNode.ariaSort !== "ascending");
    remember();
  });
document.getElementById("filters").addEventListener("input", () => { filter(); remember(); });
selection.addEventListener("change", () => { select(); remember(); });
baseline.addEventListener("change", () => { compare(); remember(); });
baseline.parentNode.hidden = !document.querySelector("[data-less]");
addEventListener("hashchange", recall);
recall();

// Details: a run's own part of the page, made when it is opened.
document.getElementById("runs").addEventListener("click", event => {
  const number = event.target.dataset.run;
  if (number === undefined) return;
  const run = data.runs[number];
  dialog.replaceChildren(document.getElementById("run").content.cloneNode(true));
  const config = run.config.map(line => data.lines[line]).join("\n");
  for (const [name, text] of Object.entries({...run, config})) {
    const place = dialog.querySelector(`[data-name="${name}"]`);
    if (place === null) continue;
    if (name === "scores" && text.length) place.append(...tablesOf(text));
    else if (name === "command") place.append(...text.split(" ").flatMap(unbroken));
    else if (text.length) place.textContent = text;
    else (place.closest("section, details") ?? place).remove();
  }
  dialog.showModal();
  draw(run.curves, dialog.querySelector('[data-name="plots"]'));
});
function unbroken(word) {  // else a line could end after the hyphens of a flag
  const span = document.createElement("span");
  span.className = "word";
  span.textContent = word;
  return [span, " "];
}
function tablesOf(scores) {  // two, side by side where there is room
  const half = Math.ceil(scores.length / 2);
  return [scores.slice(0, half), scores.slice(half)].map(part => {
    const table = document.createElement("table");
    table.className = "scores";
    for (const [name, mean, std] of part) {
      const row = table.insertRow();
      row.insertCell().textContent = name;
      row.insertCell().textContent = `${mean} ± ${std}`;
      row.cells[1].className = "number";
    }
    return table;
  });
}
dialog.addEventListener("click", async event => {
  if (event.target === dialog || "close" in event.target.dataset) dialog.close();
  const copied = event.target.dataset.copy;
  if (!copied) return;
  const source = dialog.querySelector(`[data-name="${copied}"]`);
  try {
    await navigator.clipboard.writeText(source.textContent);
    event.target.textContent = "copied";
  } catch {  // a page from a file may not be allowed to
    getSelection().selectAllChildren(source);
    event.target.textContent = "selected: press Ctrl-C";
  }
});

// Curves are drawn when a run is opened, and cleared when it is closed.
const drawn = [];
dialog.addEventListener("close", () => drawn.splice(0).forEach(views => views.clear()));
async function draw(curves, place) {
  for (const [panel, numbers] of Object.entries(curves)) {
    if (!place.isConnected) return;  // closed by now
    const plot = data.plots[panel];
    const box = document.createElement("div");
    box.className = "plot";
    box.role = "figure";
    box.ariaLabel = plot.title;
    place.append(box);
    const views = await Bokeh.embed.embed_item(plot.item, box);
    drawn.push(views);
    fill(views.roots[0].model.document, plot, numbers);
  }
}

// Puts numbers into a plot's document, see plots.py.
function fill(drawing, plot, numbers) {
  const model = name => drawing.get_model_by_name(name);
  model("numbers").data = columns(plot, numbers);
  model("legend").items.forEach((item, i) => { item.visible = numbers.mean[i] !== null; });
  for (const curve of plot.curves) {  // the legend hides a line, and its points with it
    const line = model(curve), points = model(`${curve}_alone`);
    line.properties.visible.change.connect(() => { points.visible = line.visible; });
  }
}

// The columns of a plot's data source. A number that is not finite is null here.
function columns({curves, logarithmic, limits}, {x, mean, std}) {
  const [least, most] = limits ?? [-Infinity, Infinity];
  const length = Math.max(...mean.map(values => values?.length ?? 0));
  x ??= Array.from({length}, (_, i) => i + 1);
  const number = values => Array.from({length}, (_, i) => values?.[i] ?? NaN);
  const words = value => logarithmic ? value.toPrecision(3) : value.toFixed(2);
  const found = {};
  const ends = [];
  curves.forEach((name, i) => {
    const middle = number(mean[i]), spread = number(std[i]);
    const low = middle.map((y, k) => Math.max(least, y - spread[k]));
    const high = middle.map((y, k) => Math.min(most, y + spread[k]));
    found[name] = middle;
    found[`${name}_low`] = low;
    found[`${name}_high`] = high;
    found[`${name}_alone`] = middle.map(
      (y, k) => Number.isFinite(middle[k - 1]) || Number.isFinite(middle[k + 1]) ? NaN : y);
    found[`${name}_words`] = middle.map((y, k) => Number.isNaN(y) ? "–"
      : Number.isNaN(spread[k]) ? words(y) : `${words(y)} ± ${words(spread[k])}`);
    ends.push(...middle, ...low, ...high);
  });
  const finite = ends.filter(Number.isFinite);
  const between = x.slice(1).map((right, i) => (x[i] + right) / 2);
  return {
    ...found, x,
    left: [2 * x[0] - (between[0] ?? x[0] + 0.5), ...between],
    right: [...between, 2 * x.at(-1) - (between.at(-1) ?? x.at(-1) - 0.5)],
    bottom: x.map(() => Math.min(...finite)),
    top: x.map(() => Math.max(...finite)),
  };
}
