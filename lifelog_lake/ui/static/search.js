// The search page: what is asked lives in the address, what is found comes from the API.

const PAUSE_MS = 250;
const PAGE = 30;
const AGAIN_MS = 2500;
const CHOICES = [["stream", "Streams"], ["device", "Devices"], ["tag", "Tags"]];
const ORDERS = [["best", "Best"], ["newest", "Newest"]];
/** Best by words and meaning; offered if [search] semantic is on. */
const MEANING = ["meaning", "Meaning"];
const MOST_CHOICES = 12;
/** Days in which a rank falls half of the way to its half: of equal hits the newer ones come first. */
const RECENCY = 90;
const NARROW = "(max-width: 700px)";
const EXAMPLES = [
  ["annual report", "both words"], ['"annual report"', "the words in a row"], ["repo*", "words that begin so"],
  ["report~", "words that are nearly so"], ["report OR budget", "one of them"], ["report -draft", "one without the other"],
  ["tag:work", "what you wrote with a tag"], ["site:example.org", "pages of a site"], ["app:firefox", "windows of a program"],
  ["after:2026-01 before:yesterday", "of a time"],
];

function onSearchPage() {
  return /\/lifelog\/search$/.test(location.pathname);
}

function askedOfAddress() {
  const query = new URLSearchParams(onSearchPage() ? location.search : "");
  const day = (name) => (/^\d{4}-\d{2}-\d{2}$/.test(query.get(name) ?? "") ? query.get(name) : "");
  return {
    q: query.get("q") ?? "", order: ["newest", "meaning"].find((order) => order === query.get("order")) ?? "best",
    match: query.get("match") === "any" ? "any" : "all", from: day("from"), to: day("to"),
    stream: query.getAll("stream"), device: query.getAll("device"), tag: query.getAll("tag"),
  };
}

function addressOfAsked({ q, order, match, from, to, ...chosen }) {
  const query = new URLSearchParams();
  if (q) query.set("q", q);
  if (order !== "best") query.set("order", order);
  if (match !== "all") query.set("match", match);
  if (from) query.set("from", from);
  if (to) query.set("to", to);
  for (const [name] of CHOICES) for (const value of chosen[name]) query.append(name, value);
  return `${location.pathname}${query.size ? `?${query}` : ""}`;
}

/** The first moment of a day of the calendar, so many days later, in the browser's zone. */
function dayBegins(text, later) {
  if (!text) return null;
  const [year, month, day] = text.split("-").map(Number);
  return new Date(year, month - 1, day + later).toISOString();
}

function render({ model, el }) {
  const offered = model.get("semantic") ? [...ORDERS, MEANING] : ORDERS;
  let asked = askedOfAddress();
  let stop = new AbortController();
  let timer = 0;
  let cursor = null;
  let groups = [];

  const box = h("input", {
    class: "ll-search-box", type: "search", name: "q", placeholder: "Search everything that was seen and written",
    "aria-label": "Search", autocomplete: "off", spellcheck: "false", maxlength: 10000, oninput: typed,
  });
  const orders = h("div", { class: "ll-ranges", role: "group", "aria-label": "Order" });
  const from = h("input", { type: "date", class: "ll-search-day", "aria-label": "From", onchange: () => set({ from: from.value }) });
  const to = h("input", { type: "date", class: "ll-search-day", "aria-label": "To", onchange: () => set({ to: to.value }) });
  const said = h("p", { class: "ll-search-said", role: "status" });
  const chosenCount = h("summary", {}, "Narrow");
  const choices = h("div", { class: "ll-facets" });
  // On a phone they would stand before the hits: closed there, always open where there is room.
  const facets = h("details", { class: "ll-facets-fold", "aria-label": "Narrow the search", hidden: true }, chosenCount, choices);
  const narrow = matchMedia(NARROW);
  const fold = () => { facets.open = !narrow.matches; };
  const help = h("div", { class: "ll-search-help" }, h("h2", {}, "What can be typed"),
    h("dl", {}, ...EXAMPLES.flatMap(([typed, means]) => [h("dt", {}, h("code", {}, typed)), h("dd", {}, means)])));
  const list = h("ol", { class: "ll-hits", "aria-label": "Hits" });
  const more = h("button", { type: "button", class: "ll-button", hidden: true, onclick: () => load(true) }, "More");
  const root = h("div", { class: "ll ll-search" },
    h("form", { class: "ll-search-bar", role: "search", onsubmit: (event) => { event.preventDefault(); askNow(); } },
      box, orders, h("span", { class: "ll-search-days" }, from, "–", to)),
    said, help, h("div", { class: "ll-search-body" }, facets, h("div", { class: "ll-search-found" }, list, more)));
  el.append(root);

  function show() {
    if (box.value !== asked.q) box.value = asked.q;
    const chosen = CHOICES.reduce((count, [name]) => count + asked[name].length, 0);
    chosenCount.textContent = chosen ? `Narrow (${chosen} chosen)` : "Narrow";
    from.value = asked.from;
    to.value = asked.to;
    orders.replaceChildren(...offered.map(([name, label]) => h("button", {
      type: "button", "aria-pressed": String(asked.order === name), onclick: () => set({ order: name }),
    }, label)));
  }

  function set(part) {
    asked = { ...asked, ...part };
    if (onSearchPage()) history.replaceState(null, "", addressOfAsked(asked));
    show();
    load(false);
  }

  function typed() {
    clearTimeout(timer);
    timer = setTimeout(askNow, PAUSE_MS);
  }

  function askNow() {
    clearTimeout(timer);
    if (box.value !== asked.q) set({ q: box.value });
  }

  function narrows() {
    return asked.q.trim() || asked.from || asked.to || CHOICES.some(([name]) => asked[name].length);
  }

  async function load(further) {
    stop.abort();
    clearTimeout(timer);
    const mine = (stop = new AbortController());
    box.removeAttribute("aria-invalid");
    help.hidden = Boolean(narrows());
    if (!narrows()) {
      list.replaceChildren();
      facets.hidden = more.hidden = true;
      tell("", "");
      return;
    }
    root.setAttribute("aria-busy", "true");
    try {
      const { q, order, match, stream, device, tag } = asked;
      const found = await ask("search", {
        q, order: order === "newest" ? order : "best", semantic: order === "meaning" ? 1 : null,
        match, stream, device, tag, start: dayBegins(asked.from, 0), end: dayBegins(asked.to, 1),
        recency: order === "best" ? RECENCY : null, limit: PAGE, facets: further ? null : 1, cursor: further ? cursor : null,
      }, mine.signal);
      if (mine !== stop) return;
      cursor = found.cursor;
      more.hidden = cursor === null;
      showHits(found.results, further);
      if (!further) choices.replaceChildren(...CHOICES.map(facet(found.facets ?? {})).filter(Boolean));
      facets.hidden = !choices.childElementCount;
      const count = `${found.total.toLocaleString()} ${found.total === 1 ? "hit" : "hits"}`;
      const advice = found.total ? "" : ". Fewer words find more; report* finds what begins so, report~ what is nearly so.";
      tell("", found.fresh ? `${count}${advice}` : `${count} so far; new events are being taken in …`);
      if (!found.fresh && !further) timer = setTimeout(() => load(false), AGAIN_MS);
    } catch (error) {
      if (error.name === "AbortError" || mine !== stop) return;
      if (!error.message || !("hint" in error)) throw error;
      tell("bad", `${plain(error.message)} ${plain(error.hint)}`);
      if (Number.isInteger(error.position)) box.setAttribute("aria-invalid", "true");
      if (error.again) timer = setTimeout(() => load(false), AGAIN_MS);
    } finally {
      if (mine === stop) root.removeAttribute("aria-busy");
    }
  }

  /** In a list of the newest only neighbours are put together: its order is the time's. */
  function showHits(hits, further) {
    if (!further) {
      groups = [];
      list.replaceChildren();
    }
    for (const group of gather(hits, groups, asked.order !== "newest")) {
      const item = hitItem(group.hits);
      if (group.item) group.item.replaceWith(item);
      else list.append(item);
      group.item = item;
    }
  }

  function tell(tone, text) {
    said.dataset.tone = tone;
    said.textContent = text;
  }

  /** The values of a facet, those that are chosen first, each to be chosen or let go. */
  function facet(counted) {
    return ([name, label]) => {
      const chosen = asked[name];
      const there = (counted[name] ?? []).filter(({ value }) => !chosen.includes(value));
      const counts = new Map((counted[name] ?? []).map(({ value, count }) => [value, count]));
      const values = [...chosen.map((value) => ({ value, count: counts.get(value) ?? 0 })), ...there.slice(0, MOST_CHOICES)];
      if (!values.length) return null;
      return h("fieldset", { class: "ll-facet", "data-facet": name }, h("legend", {}, label),
        name === "tag" && chosen.length > 1 ? h("label", { class: "ll-facet-any" }, h("input", {
          type: "checkbox", checked: asked.match === "any", onchange: (event) => set({ match: event.target.checked ? "any" : "all" }),
        }), "any of them") : null,
        ...values.map(({ value, count }) => h("label", {},
          h("input", {
            type: "checkbox", checked: chosen.includes(value), value,
            onchange: (event) => set({ [name]: event.target.checked ? [...chosen, value] : chosen.filter((one) => one !== value) }),
          }),
          h("bdi", {}, name === "stream" ? FOUND_LABELS[value] ?? plain(value) : plain(value)),
          h("span", { class: "ll-facet-count" }, count.toLocaleString()))));
    };
  }

  function onKey(event) {
    if (!root.isConnected || event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = document.activeElement?.matches("input, select, textarea");
    const links = [...list.querySelectorAll(".ll-hit-link")];
    const here = links.indexOf(document.activeElement);
    if (event.key === "/" && !typing) box.focus();
    else if (event.key === "ArrowDown" && (document.activeElement === box || here >= 0)) links[here + 1]?.focus();
    else if (event.key === "ArrowUp" && here >= 0) (links[here - 1] ?? box).focus();
    else if (event.key === "Escape" && here >= 0) box.focus();
    else return;
    event.preventDefault();
  }
  function onBack() {
    if (!onSearchPage()) return;
    asked = askedOfAddress();
    show();
    load(false);
  }
  fold();
  narrow.addEventListener("change", fold);
  document.addEventListener("keydown", onKey);
  window.addEventListener("popstate", onBack);
  show();
  load(false);
  box.focus();
  return () => {
    clearTimeout(timer);
    stop.abort();
    narrow.removeEventListener("change", fold);
    document.removeEventListener("keydown", onKey);
    window.removeEventListener("popstate", onBack);
  };
}

export default { render };
