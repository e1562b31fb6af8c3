// A list of the page: its rows, how many there are, and what is said while there are none.

const RETRY_MS = 5000;

/**
 * `kind` is {name, noun, streams(view), label, make, measure}; `painted` is called once the list
 * shows something. A live list grows by itself while it is not scrolled.
 */
function list(model, kind, painted) {
  let shown = null; // the Pages on the page
  let failed = null;
  let retry = 0;
  let generation = 0;
  let before = {};

  const count = h("span");
  const fresh = h("button", { type: "button", class: "ll-button ll-fresh", hidden: true, onclick: () => { root.scrollIntoView({ block: "start" }); start(); } }, `New ${kind.noun}s`);
  const message = h("div", { class: "ll-message", role: "status" });
  const rows = virtualRows({ ...kind, onFail: fail });
  const root = h("section", { class: `ll-list ll-list-${kind.name}`, "aria-label": kind.label }, fresh, message, rows.grid);

  function say(state, ...children) {
    message.dataset.state = state;
    message.replaceChildren(...children);
    message.hidden = children.length === 0;
    rows.grid.hidden = state === "empty" || (state === "error" && !shown?.total);
  }

  function fail(error) {
    if (error.name === "AbortError") return;
    failed = error;
    painted(); // the lanes may still come, or say what they lack
    say("error", h("h2", {}, error.message || "Something went wrong."), h("p", {}, error.hint || "Load the page again."),
      error.login
        ? h("a", { class: "ll-button", href: `${baseUrl()}login?next=${encodeURIComponent(location.pathname + location.search)}` }, "Log in")
        : h("button", { type: "button", class: "ll-button", onclick: () => start() }, "Try again"));
    clearTimeout(retry);
    if (error.again !== false && !error.login) retry = setTimeout(() => start(), RETRY_MS);
  }

  const act = (text, part) => h("button", { type: "button", class: "ll-button", onclick: () => change(model, part()) }, text);

  /** Why there is nothing, and what to do about it. */
  function sayEmpty(summary) {
    const view = model.get("view");
    if (view.devices.length || view.streams.length) {
      if (summary.streams.length) {
        say("empty", h("h2", {}, `No ${kind.noun}s in this choice.`), h("p", {}, "Other streams or devices have something in this span."),
          act("Show all", () => ({ streams: [], devices: [] })));
        return;
      }
    } else if (summary.streams.length) {
      const others = summary.streams.map(({ label }) => label).join(", ");
      const tab = summary.streams.some(({ name }) => name === "screen") ? "frames" : summary.streams.every(({ name }) => name === "audio") ? "sound" : "activity";
      say("empty", h("h2", {}, `No ${kind.noun}s in this span.`), h("p", {}, `Recorded here: ${others}.`),
        tab === kind.name ? "" : act(`Show ${TABS.find(([name]) => name === tab)[1].toLowerCase()}`, () => ({ tab })));
      return;
    }
    if (summary.newest_at) {
      const at = new Date(summary.newest_at);
      say("empty", h("h2", {}, "Nothing recorded in this span."), h("p", {}, `The newest event is from ${shortDay(at)}, ${shortTime(at)}.`),
        act("Show that day", () => spanAt("day", +at)));
      return;
    }
    say("empty", h("h2", {}, "Your lake is empty."),
      h("p", {}, "Start recording with ", h("code", {}, "lifelog up"), ". What it sees appears here about a minute later. If nothing comes, ", h("code", {}, "lifelog doctor"), " says why."),
      h("p", {}, "No display here, or just curious? Fill another home with demo data and look at that:"),
      h("pre", {}, h("code", {}, "lifelog demo --days 30 --home ~/lifelog-demo\nlifelog up --home ~/lifelog-demo")));
  }

  /** Load the span; what is shown stays until the first page of the new one is here. */
  async function start(keep = false) {
    const view = model.get("view");
    if (!view.start || (view.open && shown)) return; // the rows under an open dialog must not move
    before = view;
    const mine = (generation += 1);
    clearTimeout(retry);
    const streams = kind.streams(view);
    const pages = new Pages(view, streams, view.devices);
    if (shown === null && !failed) { say("loading"); rows.show(null); }
    try {
      if (streams.length === 0) pages.total = 0;
      else if (keep && shown?.total && rows.isScrolled() && !failed) {
        const { events: [newest] } = await pages.load(0, { limit: 1 });
        if (mine === generation) fresh.hidden = newest === undefined || newest.id === shown.at(0)?.id;
        return;
      } else await pages.need(0);
      const summary = pages.total ? null : await ask("summary", { start: isoTime(view.start), end: isoTime(view.end) }, pages.stop.signal);
      if (mine !== generation || (model.get("view").open && shown)) return;
      // The lanes and the header hang on a kernel that didn't outlive the login, or the server.
      if (failed?.login || failed?.gone) { location.reload(); return; }
      shown?.stop.abort();
      shown = pages;
      failed = null;
      fresh.hidden = true;
      count.textContent = `${pages.total.toLocaleString()} ${kind.noun}${pages.total === 1 ? "" : "s"}`;
      if (pages.total) say("shown");
      else sayEmpty(summary);
      rows.show(pages);
      painted();
    } catch (error) {
      if (mine === generation) fail(error);
    }
  }

  return {
    root, count, start, pages: () => shown, draw: rows.draw, renew: rows.renew, focus: rows.focus,
    /** Follow the view: load another span at once, a live one's growth gently. */
    follow() {
      const view = model.get("view");
      const same = before.start && sameSpan(before, view) && sameChoice(before, view);
      if (!same) start();
      else if (before.tick !== view.tick || (before.open && !view.open)) start(true);
      before = view;
    },
    /** Bring the event of a moment into the window. */
    async reveal(moment) {
      const pages = shown;
      if (!pages?.total) return;
      try {
        const index = await pages.around(moment);
        if (index >= 0 && pages === shown) rows.reveal(index);
      } catch (error) { fail(error); }
    },
    stop() { clearTimeout(retry); shown?.stop.abort(); },
  };
}
