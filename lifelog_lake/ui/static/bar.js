// The choice of a span: 15 minutes, an hour or a day; earlier, later, a date, or live.

const LENGTH_MS = { "15m": 15 * 60e3, hour: 3600e3 };
const LIVE_EVERY_MS = 5000;
const RANGES = [["15m", "15 min"], ["hour", "Hour"], ["day", "Day"]];
const UNIT = { "15m": "15 minutes", hour: "hour", day: "day", zoom: "span" };

function dayStart(at) {
  const day = new Date(at);
  day.setHours(0, 0, 0, 0);
  return day;
}

function addDays(at, days) {
  const day = new Date(at);
  day.setDate(day.getDate() + days);
  return day;
}

/** The span of a range that ends now, or the day of now. */
function liveSpan(range) {
  const now = Date.now();
  if (range === "day") return { range, start: +dayStart(now), end: +addDays(dayStart(now), 1), live: true };
  return { range, start: now - LENGTH_MS[range], end: now, live: true };
}

/** A span of a range's length that begins at a time; live if that reaches now. */
function spanAt(range, start) {
  const end = range === "day" ? +addDays(dayStart(start), 1) : start + LENGTH_MS[range];
  if (end > Date.now()) return liveSpan(range);
  return { range, start: range === "day" ? +dayStart(start) : start, end, live: false };
}

function spanOfAddress() {
  const query = new URLSearchParams(location.search);
  const range = query.get("range");
  const start = Date.parse(query.get("at") ?? "");
  const end = Date.parse(query.get("to") ?? "");
  if (range === "zoom" && start < end) return { range, start, end, live: false };
  if (!RANGES.some(([name]) => name === range)) return liveSpan("hour");
  return Number.isNaN(start) ? liveSpan(range) : spanAt(range, start);
}

function keepInAddress({ range, start, end, live }) {
  if (!/\/lifelog\/[a-z]+$/.test(location.pathname)) return;
  const query = new URLSearchParams({ range });
  if (!live) query.set("at", new Date(start).toISOString());
  if (range === "zoom") query.set("to", new Date(end).toISOString());
  history.replaceState(null, "", `${location.pathname}?${query}`);
}

function isoDate(at) {
  const day = new Date(at);
  const two = (number) => String(number).padStart(2, "0");
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
}

function spanText({ range, start, end }) {
  const sameDay = isoDate(start) === isoDate(end - 1);
  if (range === "day") return isoDate(start) === isoDate(Date.now()) ? "Today" : shortDay(start);
  const from = isoDate(start) === isoDate(Date.now()) ? "" : `${shortDay(start)}, `;
  return `${from}${shortTime(start)} – ${sameDay ? "" : `${shortDay(end)}, `}${shortTime(end)}`;
}

function render({ model, el }) {
  const choose = (span) => {
    model.set("span", span);
    model.save_changes();
  };
  const span = () => model.get("span");

  const ranges = RANGES.map(([name, label]) =>
    h("button", { type: "button", "data-range": name, onclick: () => choose(span().live ? liveSpan(name) : spanAt(name, span().start)) }, label));
  const step = (direction) => {
    const { range, start, end } = span();
    if (range === "day") choose(spanAt("day", +addDays(start, direction)));
    else if (range === "zoom") choose({ range, start: start + direction * (end - start), end: end + direction * (end - start), live: false });
    else choose(spanAt(range, start + direction * LENGTH_MS[range]));
  };
  const earlier = h("button", { type: "button", class: "ll-step", onclick: () => step(-1) }, "‹");
  const later = h("button", { type: "button", class: "ll-step", onclick: () => step(1) }, "›");
  const text = h("span", { class: "ll-span-text" });
  const date = h("input", {
    type: "date", class: "ll-date", "aria-label": "Go to a day",
    onchange: () => { if (date.value) choose(spanAt("day", +new Date(`${date.value}T00:00:00`))); },
  });
  const live = h("button", {
    type: "button", class: "ll-live",
    onclick: () => choose(liveSpan(span().range === "zoom" ? "hour" : span().range)),
  }, h("span", { class: "ll-live-dot", "aria-hidden": "true" }), h("span", {}, "Live"));

  el.append(h("div", { class: "ll ll-bar" },
    h("div", { class: "ll-ranges", role: "group", "aria-label": "Length of the span" }, ...ranges),
    h("div", { class: "ll-where" }, earlier, text, later),
    date, live));

  function show() {
    const now = span();
    for (const button of ranges) button.setAttribute("aria-pressed", String(button.dataset.range === now.range));
    const unit = UNIT[now.range];
    earlier.setAttribute("aria-label", `Previous ${unit}`);
    later.setAttribute("aria-label", `Next ${unit}`);
    earlier.title = `Previous ${unit}`;
    later.title = `Next ${unit}`;
    later.disabled = now.live;
    live.setAttribute("aria-pressed", String(now.live));
    live.title = now.live ? "New frames appear by themselves" : "Back to now";
    text.textContent = now.start ? spanText(now) : "";
    if (now.start) date.value = isoDate(now.start);
    date.max = isoDate(Date.now());
    if (now.start) keepInAddress(now);
  }
  model.on("change:span", show);
  const timer = setInterval(() => {
    if (span().live && !document.hidden) choose(liveSpan(span().range));
  }, LIVE_EVERY_MS);
  if (!span().start) choose(spanOfAddress());
  show();
  return () => {
    clearInterval(timer);
    model.off("change:span", show);
  };
}

export default { render };
