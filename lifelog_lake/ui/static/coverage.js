// The heat map: a row a day, a cell an hour, the newest day on top. It asks only while it is open.

const COVERAGE_DAYS = 14;
// In the order in which a cell tells of them: what needs somebody first.
const COVERAGE_STATES = [
  ["lost", "Lost"], ["pending", "Not shipped yet"], ["captured", "Captured"], ["idle", "Idle"],
  ["paused", "Paused"], ["excluded", "Excluded"], ["suspended", "Asleep"], ["off", "Off"],
];
const COVERAGE_KEPT = "lifelog.coverage.open";
const coverageDay = format({ weekday: "short", day: "numeric", month: "short" });
// A bar that is lower than this can't be seen.
const COVERAGE_LEAST = 15;

/** Hours of the answer by day and hour of the browser's zone; an hour that comes twice is one. */
function coverageCells(hours) {
  const cells = new Map();
  for (const { at, state, minutes, reasons } of hours) {
    const begin = new Date(at);
    const key = `${isoDate(begin)} ${begin.getHours()}`;
    if (!cells.has(key)) cells.set(key, { at: +begin, minutes: {}, reasons: {} });
    const cell = cells.get(key);
    cell.minutes[state] = (cell.minutes[state] ?? 0) + minutes;
    cell.reasons[state] = [...(cell.reasons[state] ?? []), ...reasons];
  }
  return cells;
}

/** What a cell says: each state with its share of the hour and why. */
function coverageWords(cell) {
  const all = Object.values(cell.minutes).reduce((a, b) => a + b, 0);
  return COVERAGE_STATES.filter(([state]) => cell.minutes[state]).map(([state, label]) => {
    const share = Math.round((100 * cell.minutes[state]) / all);
    const why = (cell.reasons[state] ?? []).map(plain).join("; ");
    return `${label} ${share || "<1"} %${why ? ` (${why})` : ""}`;
  }).join(" · ");
}

/** The state that most of the hour was in while something ran, and how much of it was lost. What was
 * lost has its bar, so it colours the whole cell only when nothing else was for as long. */
function coverageLook(cell) {
  const all = Object.values(cell.minutes).reduce((a, b) => a + b, 0);
  const states = [...COVERAGE_STATES.slice(1), COVERAGE_STATES[0]].map(([state]) => state)
    .filter((state) => state !== "off" && cell.minutes[state]);
  const state = states.reduce((a, b) => (cell.minutes[b] > cell.minutes[a] ? b : a), states[0] ?? "off");
  return { state, lost: Math.ceil((100 * (cell.minutes.lost ?? 0)) / all) };
}

function render({ model, el }) {
  const view = () => model.get("view");
  const said = h("p", { class: "ll-coverage-said", role: "status" }, "Point at an hour to see why.");
  const grid = h("div", { class: "ll-coverage-grid", role: "grid", "aria-label": "Coverage by day and hour" });
  const legend = h("ul", { class: "ll-legend" }, ...COVERAGE_STATES.map(([state, label]) =>
    h("li", {}, h("span", { class: "ll-swatch ll-coverage-cell", "data-state": state }), label)));
  const details = h("details", { class: "ll ll-coverage" }, h("summary", {}, "Coverage of two weeks"), grid, said, legend);
  details.open = localStorage.getItem(COVERAGE_KEPT) === "yes";
  el.append(details);

  let asked = 0;
  let shown = "";
  let stop = new AbortController();

  function cellOf(cells, day, hour) {
    const cell = cells.get(`${isoDate(day)} ${hour}`);
    const when = `${shortDay(day)} ${String(hour).padStart(2, "0")}:00`;
    if (!cell) return h("span", { class: "ll-coverage-cell", role: "gridcell" });
    const words = `${when}: ${coverageWords(cell)}`;
    const { state, lost } = coverageLook(cell);
    const tell = () => { said.textContent = words; };
    return h("button", {
      type: "button", class: "ll-coverage-cell", role: "gridcell", "data-state": state, "data-lost": lost,
      style: `--ll-lost: ${lost && Math.max(lost, COVERAGE_LEAST)}%`, title: words, "aria-label": words, onmouseover: tell, onfocus: tell,
      onclick: () => change(model, spanAt("hour", cell.at)),
    });
  }

  function draw(cells, newest) {
    const rows = [h("div", { class: "ll-coverage-row", role: "row" }, h("span", {}),
      ...Array.from({ length: 24 }, (_, hour) => h("span", { class: "ll-coverage-hour" }, hour % 3 ? "" : String(hour))))];
    for (let n = 0; n < COVERAGE_DAYS; n += 1) {
      const day = addDays(newest, -n);
      rows.push(h("div", { class: "ll-coverage-row", role: "row" }, h("span", { class: "ll-coverage-day", role: "rowheader" }, coverageDay(day)),
        ...Array.from({ length: 24 }, (_, hour) => cellOf(cells, day, hour))));
    }
    grid.replaceChildren(...rows);
  }

  async function load() {
    const now = view();
    if (!details.open || !now.start) return;
    const newest = dayStart(Math.min(now.end - 1, Date.now()));
    const key = JSON.stringify([+newest, now.streams, now.devices, Math.floor((now.tick ?? 0) / 60e3)]);
    if (key === shown) return;
    shown = key;
    const mine = (asked += 1);
    stop.abort();
    stop = new AbortController();
    try {
      const answer = await ask("coverage", {
        start: addDays(newest, 1 - COVERAGE_DAYS).toISOString(), end: addDays(newest, 1).toISOString(),
        zone: ZONE, stream: now.streams, device: now.devices,
      }, stop.signal);
      if (mine !== asked) return;
      draw(coverageCells(answer.hours), newest);
      if (!answer.hours.length) said.textContent = "No device has told of itself in these days.";
    } catch (error) {
      if (error.name === "AbortError") return;
      shown = "";
      said.textContent = plain(error.message);
    }
  }

  details.addEventListener("toggle", () => {
    localStorage.setItem(COVERAGE_KEPT, details.open ? "yes" : "no");
    load();
  });
  model.on("change:view", load);
  load();
  return () => { stop.abort(); model.off("change:view", load); };
}

export default { render };
