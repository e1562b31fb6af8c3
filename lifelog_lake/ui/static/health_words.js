// Words for times, states and sizes of the health page. Times of the API are RFC 3339.

const DAY_MS = 24 * 3600e3;
const SEVERITIES = ["critical", "warning", "info"];

const STATES = {
  running: "Running", starting: "Starting", stale: "Sees nothing", unavailable: "Can't run here",
  full: "No room", error: "In trouble", failed: "Can't start", stopped: "Stopped", paused: "Paused",
  disabled: "Switched off", spooled: "Only what waits", suspended: "Asleep", off: "Off", unknown: "Unknown",
};
const BAD = new Set(["error", "full", "failed"]);
const WARN = new Set(["stale", "unavailable", "starting"]);

/** How a state looks: "well", "warn", "bad" or "idle". */
function toneOf(state) {
  if (state === "running") return "well";
  if (BAD.has(state)) return "bad";
  if (WARN.has(state)) return "warn";
  return "idle";
}

function stateName(state) {
  return STATES[state] ?? plain(state);
}

/** "3 min ago", "in 2 h", of a time; `now` is the server's. */
function ago(time, now) {
  if (!time) return "never";
  const lasted = now - Date.parse(time);
  const text = roughly(Math.abs(lasted));
  if (lasted < -1000) return `in ${text}`;
  return lasted < 5000 ? "now" : `${text} ago`;
}

/** A length of time in one unit: "40 s", "3 min", "5 h", "12 days". */
function roughly(ms) {
  const seconds = Math.round(ms / 1000);
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 120 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 10 * 3600) return `${Math.round(seconds / 360) / 10} h`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  const days = Math.round(seconds / 86400);
  return days < 1000 ? `${days} days` : `${(days / 365).toFixed(1)} years`;
}

/** A time of the API as a <time> that says it in full when it is pointed at. */
function when(time, text) {
  return h("time", { datetime: time, title: time ? longTime(new Date(time)) : null }, text);
}

/** Text that came from elsewhere. */
function said(text) {
  return h("bdi", {}, plain(text));
}

function plural(count, one, several = `${one}s`) {
  return `${count.toLocaleString()} ${count === 1 ? one : several}`;
}

const dot = (tone) => h("span", { class: "ll-tone", "data-tone": tone, "aria-hidden": "true" });
