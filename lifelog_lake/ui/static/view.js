// What is looked at: a span, the streams and devices of interest, a list, a moment. One value that
// the widgets share and that the address bar spells, so that a page can be kept and Back works.
//
// view = {range, start, end, live, streams, devices, tab, moment, open}; times in ms since 1970;
// no streams or devices means all; moment 0 means none; open: the moment is shown large. A live view
// also has `tick`, which changes whenever there may be something new.

const LENGTH_MS = { "15m": 15 * 60e3, hour: 3600e3 };
const RANGES = [["15m", "15 min"], ["hour", "Hour"], ["day", "Day"]];
const TABS = [["frames", "Frames"], ["activity", "Activity"], ["sound", "Sound"]];
const ZOOM = 4;
const SHORTEST_MS = 60e3;
const NEARLY_A_DAY_MS = 20 * 3600e3;
// What the server can show: longer or further away is a slip of the hand in the address.
const LONGEST_MS = 400 * 24 * 3600e3;
const FIRST_YEAR = 1900;
const LAST_YEAR = 2199;

function dayStart(at) {
  const day = new Date(at);
  day.setHours(0, 0, 0, 0);
  return day;
}

/** The beginning of the day that many days later; by way of noon, as midnight may be skipped. */
function addDays(at, days) {
  const day = new Date(at);
  day.setHours(12, 0, 0, 0);
  day.setDate(day.getDate() + days);
  return dayStart(day);
}

function isoDate(at) {
  const day = new Date(at);
  const two = (number) => String(number).padStart(2, "0");
  return `${String(day.getFullYear()).padStart(4, "0")}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
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

/** The span that many times as long, around the moment or the middle of what can have happened. */
function zoomed({ start, end, moment }, factor) {
  const length = Math.max(SHORTEST_MS, (end - start) * factor);
  const inside = within({ start, end }, moment);
  const middle = inside ? moment : (start + Math.max(start + 1, Math.min(end, Date.now()))) / 2;
  if (length >= NEARLY_A_DAY_MS) return spanAt("day", middle);
  // The moment keeps its place on the lanes.
  const from = Math.round(middle - length * (inside ? (moment - start) / (end - start) : 0.5));
  return { range: "zoom", start: from, end: Math.round(from + length), live: false };
}

function stepped({ range, start, end }, direction) {
  // Not by the calendar: a zone may have skipped a day, and a day may begin at one o'clock.
  if (range === "day") return spanAt("day", direction < 0 ? start - 1 : end);
  if (range !== "zoom") return spanAt(range, start + direction * LENGTH_MS[range]);
  const length = end - start;
  return { range, start: start + direction * length, end: end + direction * length, live: false };
}

/** A time of the address in ms, or NaN for what isn't one. */
function timeOf(text) {
  const at = Date.parse(text ?? "");
  const year = new Date(at).getUTCFullYear();
  return year >= FIRST_YEAR && year <= LAST_YEAR ? at : NaN;
}

function viewOfAddress() {
  const query = new URLSearchParams(onPage() ? location.search : "");
  const range = query.get("range");
  const start = timeOf(query.get("at"));
  const end = timeOf(query.get("to"));
  const tab = query.get("tab");
  const moment = timeOf(query.get("moment")) || 0;
  let span = liveSpan("day");
  if (range === "zoom" && start < end && end - start <= LONGEST_MS) span = { range, start, end, live: false };
  else if (RANGES.some(([name]) => name === range)) span = Number.isNaN(start) ? liveSpan(range) : spanAt(range, start);
  return {
    ...span, moment,
    streams: query.getAll("stream").filter((name) => name in LABELS),
    devices: query.getAll("device").filter(Boolean),
    tab: TABS.some(([name]) => name === tab) ? tab : "frames",
    open: moment > 0 && query.has("open"),
  };
}

function addressOf({ range, start, end, live, streams, devices, tab, moment, open }) {
  const query = new URLSearchParams({ range });
  if (!live) query.set("at", new Date(start).toISOString());
  if (range === "zoom") query.set("to", new Date(end).toISOString());
  for (const name of streams) query.append("stream", name);
  for (const name of devices) query.append("device", name);
  if (tab !== "frames") query.set("tab", tab);
  if (moment) query.set("moment", new Date(moment).toISOString());
  if (open) query.set("open", "");
  return `${location.pathname}?${query}`;
}

/** Change a part of what is looked at; a moment outside of a new span is left behind. */
function change(model, part) {
  const next = { ...model.get("view"), ...part };
  if ("start" in part && !("moment" in part) && !within(next, next.moment)) next.moment = 0;
  model.set("view", next);
  model.save_changes();
}

function within({ start, end }, moment) {
  return moment >= start && moment < end;
}

/** Whether two views show the same span; a live one moves on without becoming another. */
function sameSpan(a, b) {
  if (a.range !== b.range || a.live !== b.live) return false;
  return a.live ? a.range !== "day" || a.start === b.start : a.start === b.start && a.end === b.end;
}

function sameChoice(a, b) {
  return String(a.streams) === String(b.streams) && JSON.stringify(a.devices) === JSON.stringify(b.devices);
}

/** "UTC+2" of a time in the browser's zone. */
function offset(at) {
  const minutes = -new Date(at).getTimezoneOffset();
  const sign = minutes < 0 ? "−" : "+";
  const rest = Math.abs(minutes) % 60;
  return `UTC${minutes ? sign + Math.floor(Math.abs(minutes) / 60) + (rest ? `:${String(rest).padStart(2, "0")}` : "") : ""}`;
}
