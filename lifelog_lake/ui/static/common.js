// Shared by all widgets. Text from data reaches the page through textContent alone.

/** Text from data as it is: what would turn its direction, or can't be seen, is spelled out. */
function plain(text) {
  return String(text ?? "").replace(
    /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g,
    (character) => `[U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}]`);
}

/** Make an element: properties, then children (strings become text). */
function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** The server's base URL, from a page of the app or from JupyterLab. */
function baseUrl() {
  const data = document.getElementById("jupyter-config-data");
  const base = data ? JSON.parse(data.textContent).baseUrl || "/" : "/";
  return base.replace(/lifelog\/app\/$/, "");
}

const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

function format(options) {
  const formatter = new Intl.DateTimeFormat(undefined, options);
  return (at) => formatter.format(at);
}

const clockTime = format({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const shortTime = format({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const shortDay = format({ weekday: "short", day: "numeric", month: "short", year: "numeric" });
const longTime = format({
  weekday: "long", day: "numeric", month: "long", year: "numeric",
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZoneName: "short",
});

/** "4 min 20 s" of milliseconds. */
function duration(ms) {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 && minutes < 10 ? `${minutes} min ${seconds % 60} s` : `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function byteSize(bytes) {
  if (bytes === null || bytes === undefined) return "";
  if (bytes < 1024 * 1024) return `${Math.max(bytes ? 1 : 0, Math.round(bytes / 1024))} KiB`;
  const [size, unit] = bytes < 2 ** 30 ? [bytes / 2 ** 20, "MiB"] : bytes < 2 ** 40 ? [bytes / 2 ** 30, "GiB"] : [bytes / 2 ** 40, "TiB"];
  return `${size.toFixed(size < 100 ? 1 : 0)} ${unit}`;
}

/**
 * Ask the REST API; what it throws has a message and a hint that a person can read. `read` makes
 * something of the response, its JSON if it isn't given.
 */
async function ask(path, query = {}, signal = undefined, read = undefined) {
  const url = new URL(`${baseUrl()}lifelog/api/${path}`, location.origin);
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") url.searchParams.append(name, one);
    }
  }
  return answered(url, { signal, read });
}

/** What shows the server that a request comes from its own page. */
function xsrfHeader() {
  const [, xsrf] = document.cookie.match(/(?:^|; )_xsrf=([^;]*)/) ?? [];
  return { "X-XSRFToken": decodeURIComponent(xsrf ?? "") };
}

/** Send something to the REST API (no body: none is sent); throws as `ask` does. */
async function send(path, body, { method = "POST", headers = {} } = {}) {
  const json = body === undefined ? {} : { "Content-Type": "application/json" };
  return answered(new URL(`${baseUrl()}lifelog/api/${path}`, location.origin), {
    method, body: JSON.stringify(body), headers: { ...json, ...xsrfHeader(), ...headers },
  });
}

async function answered(url, { read = (response) => response.json(), ...options }) {
  let response;
  let body;
  try {
    response = await fetch(url, { ...options, credentials: "same-origin" });
    if (!response.ok) body = await response.json().catch(() => ({})); // of a proxy: not our words
    else body = response.status === 204 ? {} : await read(response);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const again = options.method ? "" : " Trying again by itself.";
    throw { message: "The server can't be reached.", hint: `Is lifelog up still running?${again}`, again: true, gone: true };
  }
  if (!response.ok) throw refused(response.status, body);
  return body;
}

/** A problem document as what is thrown. */
function refused(status, { detail, hint, position, field }) {
  if (status === 401) return { message: "You are logged out.", hint: "Log in to go on.", login: true, status };
  return {
    message: detail || `The server answered with ${status}.`,
    hint: hint || "Look at the last lines of its log.",
    position, field, status, again: status >= 500,
  };
}

function blobUrl(sha256) {
  return `${baseUrl()}lifelog/api/blobs/${encodeURIComponent(sha256)}`;
}

function thumbnailUrl(sha256) {
  return `${baseUrl()}lifelog/api/thumbnails/${encodeURIComponent(sha256)}`;
}

/** The page of a journal entry. */
function entryUrl(id) {
  return `${baseUrl()}lifelog/journal?${new URLSearchParams({ entry: id })}`;
}

/** Whether a widget stands on the timeline's page, and so may use its address and its keys. */
function onPage() {
  return /\/lifelog\/timeline$/.test(location.pathname);
}

const LABELS = {
  afk: "Presence", window: "Windows", web: "Web", screen: "Screen", audio: "Sound",
  video: "Video", journal: "Journal", attachment: "Attachments", sensor: "Sensors",
};
