// Where in time one is: length, earlier, later, zoom, a date, live; below it streams and devices.

const LIVE_EVERY_MS = 5000;
const UNIT = { "15m": "15 minutes", hour: "hour", day: "day", zoom: "span" };
const KEYS = [
  ["← →", "Earlier or later span; in a large frame: the frame before or after"],
  ["T", "Today"], ["L", "Live, up to now"], ["G", "Go to a date"],
  ["1 2 3", "15 minutes, an hour, a day"], ["+ −", "Zoom in, zoom out"],
  ["N", "New entry of the journal"],
  ["F A S", "Frames, activity, sound"],
  ["P", "Play or pause the sound"], ["Enter", "Open the focused frame or event"],
  ["Esc", "Close what is open"], ["?", "This help"],
];

function spanText({ range, start, end }) {
  const today = isoDate(Date.now());
  if (range === "day") {
    if (isoDate(start) === today) return "Today";
    return isoDate(start) === isoDate(addDays(Date.now(), -1)) ? "Yesterday" : shortDay(start);
  }
  const time = end - start < 20 * 60e3 ? clockTime : shortTime;
  const sameDay = isoDate(start) === isoDate(end - 1);
  const from = isoDate(start) === today ? "" : `${shortDay(start)}, `;
  return `${from}${time(start)} – ${sameDay ? "" : `${shortDay(end)}, `}${time(end)}`;
}

/** Where a span of a range begins that shows the moment, or else the beginning of what is shown. */
function rangeStart({ start, end, moment }, range) {
  if (!within({ start, end }, moment)) return start;
  return range === "day" ? moment : moment - LENGTH_MS[range] / 2;
}

/** The choice of streams and devices with their counts. */
function filters(model) {
  const root = h("div", { class: "ll-filters" });
  let summary = { streams: [], devices: [] };
  let asked = 0;
  let stop = new AbortController();

  function chips(kind, entries, label) {
    const view = model.get("view");
    const chosen = view[kind];
    const names = entries.map((entry) => entry.name);
    const toggle = (name, on) => {
      const before = chosen.length ? chosen : names;
      const after = on ? [...before, name] : before.filter((other) => other !== name);
      // All chosen is no choice, and so is none.
      change(model, { [kind]: names.every((other) => after.includes(other)) ? [] : after.sort() });
    };
    return h("div", { class: "ll-chips", role: "group", "aria-label": label },
      ...entries.map((entry) => h("label", { class: "ll-chip" },
        h("input", {
          type: "checkbox", "data-kind": kind, "data-name": entry.name,
          checked: !chosen.length || chosen.includes(entry.name),
          onchange: (event) => toggle(entry.name, event.target.checked),
        }),
        h("bdi", {}, plain(entry.label ?? entry.name)),
        h("span", { class: "ll-chip-count" }, entry.events.toLocaleString()))));
  }

  /** Those of the span, and those of the choice that the span happens not to have. */
  function withChosen(entries, chosen) {
    const there = new Set(entries.map((entry) => entry.name));
    return [...entries, ...chosen.filter((name) => !there.has(name)).map((name) => ({ name, label: LABELS[name], events: 0 }))];
  }

  function draw() {
    const view = model.get("view");
    const focused = document.activeElement?.closest?.(".ll-filters") === root ? document.activeElement.dataset : null;
    const devices = withChosen(summary.devices, view.devices);
    root.replaceChildren(
      chips("streams", withChosen(summary.streams, view.streams), "Streams"),
      ...(devices.length > 1 || view.devices.length ? [chips("devices", devices, "Devices")] : []));
    if (focused) {
      for (const input of root.querySelectorAll("input")) {
        if (input.dataset.kind === focused.kind && input.dataset.name === focused.name) input.focus();
      }
    }
  }

  async function load() {
    const { start, end } = model.get("view");
    const mine = (asked += 1);
    stop.abort();
    stop = new AbortController();
    try {
      const answer = await ask("summary", { start: new Date(start).toISOString(), end: new Date(end).toISOString() }, stop.signal);
      if (mine !== asked) return;
      summary = answer;
      if (!root.querySelector(":active")) draw(); // a click must end where it began
    } catch (error) {
      if (error.name !== "AbortError") return; // the list below says what is wrong
    }
  }
  return { root, draw, load };
}

/** The keys, in a dialog. */
function helpDialog() {
  const dialog = h("dialog", { class: "ll ll-help", "aria-label": "Keys", onclick: (event) => { if (event.target === dialog) dialog.close(); } });
  dialog.append(h("div", { class: "ll-help-body" },
    h("h2", {}, "Keys"),
    h("dl", {}, ...KEYS.flatMap(([keys, does]) => [h("dt", {}, ...keys.split(" ").map((key) => h("kbd", {}, key))), h("dd", {}, does)])),
    h("p", {}, "On the lanes: drag to zoom in, click to see that moment."),
    h("form", { method: "dialog" }, h("button", { class: "ll-button" }, "Close"))));
  return dialog;
}

function render({ model, el }) {
  const view = () => model.get("view");
  const choose = (span) => change(model, span);
  const ranged = (name) => choose(view().live ? liveSpan(name) : spanAt(name, rangeStart(view(), name)));
  const goLive = () => choose(liveSpan(view().range === "zoom" ? "hour" : view().range));

  const button = (name, label, text, onclick) => h("button", { type: "button", class: name, "aria-label": label, title: label, onclick }, text);
  const ranges = RANGES.map(([name, label]) => h("button", { type: "button", "data-range": name, onclick: () => ranged(name) }, label));
  const earlier = button("ll-step", "", "‹", () => choose(stepped(view(), -1)));
  const later = button("ll-step", "", "›", () => choose(stepped(view(), 1)));
  const closer = button("ll-step", "Zoom in", "+", () => choose(zoomed(view(), 1 / ZOOM)));
  const wider = button("ll-step", "Zoom out", "−", () => choose(zoomed(view(), ZOOM)));
  const text = h("h1", { class: "ll-span-text" });
  const date = h("input", {
    type: "date", class: "ll-date", "aria-label": "Go to a day", min: `${FIRST_YEAR}-01-01`,
    // A year that is being typed is the year 2 first, then 20 and 202.
    onchange: () => { if (date.value && !date.validity.rangeUnderflow) choose(spanAt("day", +new Date(`${date.value}T00:00:00`))); },
    onblur: () => { date.value = isoDate(view().start); },
  });
  const today = h("button", { type: "button", class: "ll-button ll-today", onclick: () => choose(liveSpan("day")) }, "Today");
  const live = h("button", { type: "button", class: "ll-live", onclick: goLive },
    h("span", { class: "ll-live-dot", "aria-hidden": "true" }), h("span", {}, "Live"));
  const help = helpDialog();
  const chips = filters(model);

  el.append(h("div", { class: "ll ll-bar" },
    h("div", { class: "ll-where" }, earlier, text, later),
    h("div", { class: "ll-ranges", role: "group", "aria-label": "Length of the span" }, ...ranges),
    h("div", { class: "ll-zoom", role: "group", "aria-label": "Zoom" }, wider, closer),
    h("div", { class: "ll-days" }, today, date, live,
      button("ll-step ll-help-open", "Keys", "?", () => help.showModal())),
    help), h("div", { class: "ll ll-below" }, chips.root));

  let before = null;
  function show() {
    const now = view();
    if (!now.start) return;
    for (const one of ranges) one.setAttribute("aria-pressed", String(one.dataset.range === now.range));
    for (const [one, word] of [[earlier, "Previous"], [later, "Next"]]) {
      one.title = `${word} ${UNIT[now.range]}`;
      one.setAttribute("aria-label", one.title);
    }
    later.disabled = now.live;
    closer.disabled = now.end - now.start <= SHORTEST_MS;
    wider.disabled = now.range === "day";
    today.disabled = now.live && now.range === "day";
    live.setAttribute("aria-pressed", String(now.live));
    live.title = now.live ? "What is recorded appears by itself" : "Back to now";
    text.textContent = spanText(now);
    // What is being typed in it isn't taken back, neither by a live span that moves on.
    if (document.activeElement !== date) date.value = isoDate(now.start);
    const newest = isoDate(Date.now());
    if (date.max !== newest) date.max = newest; // setting it ends what is being typed
    if (onPage()) keepInAddress(now);
    if (!before || !sameSpan(before, now) || before.tick !== now.tick) chips.load();
    if (before && !sameChoice(before, now)) chips.draw();
    before = now;
  }

  /** What a person chose is a step that Back goes back; walking from frame to frame is none. */
  function keepInAddress(now) {
    const address = addressOf(now);
    if (address === location.pathname + location.search) return;
    const step = before !== null && !(before.open && now.open);
    history[step ? "pushState" : "replaceState"](null, "", address);
  }

  const onBack = () => { if (onPage()) change(model, viewOfAddress()); };
  const onKey = (event) => {
    if (!onPage() || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]") || event.target.closest?.("input:not([type=checkbox]), select, textarea, audio, [contenteditable]")) return;
    const does = {
      ArrowLeft: () => choose(stepped(view(), -1)),
      ArrowRight: () => { if (!view().live) choose(stepped(view(), 1)); },
      t: () => choose(liveSpan("day")), l: goLive,
      g: () => { date.focus(); date.showPicker?.(); },
      1: () => ranged("15m"), 2: () => ranged("hour"), 3: () => ranged("day"),
      "+": () => closer.click(), "=": () => closer.click(), "-": () => wider.click(),
      f: () => choose({ tab: "frames" }), a: () => choose({ tab: "activity" }), s: () => choose({ tab: "sound" }),
      "?": () => help.showModal(),
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!does) return;
    event.preventDefault();
    does();
  };
  model.on("change:view", show);
  window.addEventListener("popstate", onBack);
  document.addEventListener("keydown", onKey);
  const timer = setInterval(() => {
    if (view().live && !view().open && !document.hidden) choose({ ...liveSpan(view().range), tick: Date.now() });
  }, LIVE_EVERY_MS);
  if (!view().start) choose(viewOfAddress());
  else show();
  return () => {
    clearInterval(timer);
    document.removeEventListener("keydown", onKey);
    window.removeEventListener("popstate", onBack);
    model.off("change:view", show);
  };
}

export default { render };
