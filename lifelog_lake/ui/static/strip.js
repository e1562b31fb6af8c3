// Screen frames, newest first, in virtual rows: only what is near the window is in the document.

const PAGE_ROWS = 60;
const TILE_MIN_PX = 216;
const GAP_PX = 14;
const CAPTION_PX = 44;
const OVERSCAN_ROWS = 2;
const RETRY_MS = 5000;

/** What is known of the frames of one span: pages as they come, and how many there are. */
class Frames {
  constructor(span, device) {
    this.span = span;
    this.device = device;
    this.total = null;
    this.pages = new Map();
    this.asked = new Map();
    this.stop = new AbortController();
  }

  at(index) {
    return this.pages.get(Math.floor(index / PAGE_ROWS))?.[index % PAGE_ROWS];
  }

  async load(page, limit = PAGE_ROWS) {
    const { start, end } = this.span;
    return ask("frames", {
      start: new Date(start).toISOString(), end: new Date(end).toISOString(),
      device: this.device, offset: page * PAGE_ROWS, limit,
    }, this.stop.signal);
  }

  /** Load a page once; the answer of a page, or undefined if it is here or under way. */
  async need(page) {
    if (this.pages.has(page) || this.asked.has(page)) return undefined;
    const asked = this.load(page);
    this.asked.set(page, asked);
    try {
      const answer = await asked;
      this.pages.set(page, answer.frames);
      this.total = answer.total;
      return answer;
    } finally {
      this.asked.delete(page);
    }
  }
}

function render({ model, el }) {
  let shown = null; // the Frames on the page
  let device = "";
  let devices = [];
  let failed = null;
  let columns = 1;
  let rowHeight = 200;
  let tileWidth = TILE_MIN_PX;
  let retry = 0;
  let open = -1; // index of the frame in the dialog
  let generation = 0;
  const tiles = new Map(); // index -> {frame, element}

  const count = h("span", { class: "ll-count" });
  const choice = h("select", { class: "ll-device", "aria-label": "Device", onchange: () => { device = choice.value; start(); } });
  const fresh = h("button", { type: "button", class: "ll-button ll-fresh", hidden: true, onclick: () => { root.scrollIntoView({ block: "start" }); start(); } }, "New frames");
  const grid = h("div", { class: "ll-grid", role: "group", "aria-label": "Frames, newest first" });
  const message = h("div", { class: "ll-message", role: "status" });
  const root = h("section", { class: "ll ll-strip", "aria-label": "Screen frames" },
    h("div", { class: "ll-strip-head" }, count, fresh, choice,
      h("span", { class: "ll-zone" }, `Times in ${ZONE.replaceAll("_", " ")}`)),
    message, grid);
  el.append(root);

  // --- the large frame -----------------------------------------------------------------------
  const large = h("img", { class: "ll-large", alt: "", decoding: "async", onerror: () => { broken.hidden = false; large.hidden = true; } });
  const broken = h("p", { class: "ll-broken", hidden: true }, "The picture of this frame can't be read. Check the lake with: lifelog verify");
  const caption = h("div", { class: "ll-caption" });
  const toEarlier = h("button", { type: "button", class: "ll-button", onclick: () => showLarge(open + 1) }, "‹ Earlier");
  const toLater = h("button", { type: "button", class: "ll-button", onclick: () => showLarge(open - 1) }, "Later ›");
  const original = h("a", { class: "ll-button ll-original", target: "_blank", rel: "noopener" }, "Open");
  const dialog = h("dialog", {
    class: "ll ll-dialog", "aria-label": "Frame",
    onkeydown: (event) => {
      if (event.key === "ArrowLeft") showLarge(open + 1);
      else if (event.key === "ArrowRight") showLarge(open - 1);
      else return;
      event.preventDefault();
    },
    onclick: (event) => { if (event.target === dialog || event.target === stage) hideLarge(); },
    oncancel: (event) => { event.preventDefault(); hideLarge(); },
    onclose: () => hideLarge(),
  });
  const stage = h("div", { class: "ll-stage" }, large, broken);
  dialog.append(stage, h("div", { class: "ll-dialog-foot" }, caption,
    h("div", { class: "ll-dialog-buttons" }, toEarlier, toLater, original,
      h("button", { type: "button", class: "ll-button", onclick: () => hideLarge() }, "Close"))));
  root.append(dialog);

  /** Close at once: the dialog's own close event comes later, and would take back a focus that has moved on. */
  function hideLarge() {
    if (open < 0) return;
    const index = open;
    open = -1;
    dialog.close();
    large.removeAttribute("src");
    focusTile(index);
    start(true);
  }

  async function showLarge(index) {
    if (!shown || index < 0 || index >= shown.total) return;
    open = index;
    if (!shown.at(index)) {
      const frames = shown;
      try { await frames.need(Math.floor(index / PAGE_ROWS)); } catch (error) { fail(error); return; }
      if (open !== index || shown !== frames) return;
    }
    const frame = shown.at(index);
    if (!frame) return;
    broken.hidden = true;
    large.hidden = false;
    large.src = blobUrl(frame.blob);
    large.alt = `Screen at ${longTime(new Date(frame.at))}`;
    original.href = blobUrl(frame.blob);
    const facts = [
      frame.device, frame.label,
      new Date(frame.end) - new Date(frame.at) >= 1000 ? `shown for ${duration(new Date(frame.end) - new Date(frame.at))}` : "",
      byteSize(frame.blob_bytes),
    ].filter(Boolean);
    caption.replaceChildren(
      h("div", { class: "ll-when" }, longTime(new Date(frame.at))),
      h("div", { class: "ll-facts" }, ...facts.flatMap((fact, place) => [place ? " · " : "", h("bdi", {}, plain(fact))])));
    toLater.disabled = index === 0;
    toEarlier.disabled = index === shown.total - 1;
    if (!dialog.open) dialog.showModal();
  }

  // --- the grid ------------------------------------------------------------------------------
  function measure() {
    const width = grid.clientWidth;
    if (!width) return;
    columns = Math.max(width < 520 ? 2 : 1, Math.floor((width + GAP_PX) / (TILE_MIN_PX + GAP_PX)));
    const gap = width < 520 ? 10 : GAP_PX;
    tileWidth = (width - gap * (columns - 1)) / columns;
    rowHeight = Math.round(tileWidth * 9 / 16) + CAPTION_PX + gap;
    grid.style.setProperty("--tile-width", `${tileWidth}px`);
    grid.style.setProperty("--thumb-height", `${Math.round(tileWidth * 9 / 16)}px`);
    grid.style.setProperty("--column-step", `${tileWidth + gap}px`);
  }

  function tile(index, frame) {
    if (!frame) return h("div", { class: "ll-tile ll-skeleton" }, h("div", { class: "ll-thumb" }));
    const at = new Date(frame.at);
    const lasted = frame.end ? new Date(frame.end) - at : 0;
    const picture = h("img", { alt: "", loading: "lazy", decoding: "async", draggable: "false", src: blobUrl(frame.blob) });
    const thumb = h("div", { class: "ll-thumb" }, picture);
    picture.addEventListener("error", () => thumb.classList.add("ll-missing"));
    return h("button", {
      type: "button", class: "ll-tile", "data-index": index,
      "aria-label": `Frame of ${longTime(at)}, ${plain(frame.device)}`,
      onclick: () => showLarge(index),
    }, thumb, h("span", { class: "ll-tile-time" }, clockTime(at),
      lasted >= 10000 ? h("span", { class: "ll-lasted" }, duration(lasted)) : null),
    h("span", { class: "ll-tile-device" }, h("bdi", {}, plain(frame.device))));
  }

  function draw() {
    const total = shown?.total ?? 0;
    const loading = shown === null || shown.total === null;
    measure();
    const rows = Math.ceil(total / columns);
    grid.style.height = loading && !failed ? `${rowHeight * 2}px` : `${rows * rowHeight}px`;
    const top = grid.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / rowHeight) - OVERSCAN_ROWS) * columns;
    const after = (Math.ceil((window.innerHeight - top) / rowHeight) + OVERSCAN_ROWS) * columns;
    const last = loading ? (failed ? 0 : columns * 2) : Math.min(total, Math.max(after, columns));
    for (const [index, { element }] of tiles) {
      if ((index < first || index >= last) && element !== document.activeElement) {
        element.remove();
        tiles.delete(index);
      }
    }
    for (let index = first; index < last; index += 1) place(index, shown?.at(index));
    for (const [index, { element }] of tiles) {
      if (index >= last) { element.remove(); tiles.delete(index); }
    }
    if (!loading) {
      for (let page = Math.floor(first / PAGE_ROWS); page * PAGE_ROWS < last; page += 1) need(page);
    }
  }

  function place(index, frame) {
    const before = tiles.get(index);
    let element = before?.element;
    if (!before || before.frame?.id !== frame?.id || before.frame?.end !== frame?.end) {
      const focused = element !== undefined && element === document.activeElement;
      element?.remove();
      element = tile(index, frame);
      tiles.set(index, { frame, element });
      grid.append(element);
      if (focused) element.focus({ preventScroll: true });
    }
    const row = Math.floor(index / columns);
    element.style.transform = `translate(calc(var(--column-step) * ${index % columns}), ${row * rowHeight}px)`;
  }

  function need(page) {
    const frames = shown;
    frames.need(page).then((answer) => { if (answer && frames === shown) draw(); }, (error) => { if (frames === shown) fail(error); });
  }

  function focusTile(index) {
    if (index < 0 || !shown || index >= shown.total) return;
    const top = grid.getBoundingClientRect().top + Math.floor(index / columns) * rowHeight;
    if (top < 0 || top + rowHeight > window.innerHeight) {
      scroller().scrollBy({ top: top - window.innerHeight / 3 });
      draw();
    }
    tiles.get(index)?.element.focus({ preventScroll: true });
  }

  function scroller() {
    for (let at = root.parentElement; at; at = at.parentElement) {
      if (at.scrollHeight > at.clientHeight && /auto|scroll/.test(getComputedStyle(at).overflowY)) return at;
    }
    return document.scrollingElement;
  }

  grid.addEventListener("keydown", (event) => {
    const index = Number(document.activeElement?.dataset.index ?? -1);
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -index, End: (shown?.total ?? 0) - 1 - index };
    if (index < 0 || !(event.key in steps)) return;
    event.preventDefault();
    focusTile(Math.min(Math.max(index + steps[event.key], 0), shown.total - 1));
  });

  // --- states --------------------------------------------------------------------------------
  function say(...children) {
    message.replaceChildren(...children);
    message.hidden = children.length === 0;
  }

  function fail(error) {
    if (error.name === "AbortError") return;
    failed = error;
    say(h("h2", {}, error.message || "Something went wrong."), h("p", {}, error.hint || "Load the page again."),
      error.login
        ? h("a", { class: "ll-button", href: `${baseUrl()}login?next=${encodeURIComponent(location.pathname + location.search)}` }, "Log in")
        : h("button", { type: "button", class: "ll-button", onclick: () => start() }, "Try again"));
    message.dataset.state = "error";
    clearTimeout(retry);
    if (error.again !== false && !error.login) retry = setTimeout(() => start(), RETRY_MS);
    draw();
  }

  function sayEmpty(newest) {
    message.dataset.state = "empty";
    if (newest) {
      const at = new Date(newest);
      say(h("h2", {}, "Nothing recorded yet in this span."),
        h("p", {}, `The newest frame is from ${shortDay(at)}, ${shortTime(at)}.`),
        h("button", {
          type: "button", class: "ll-button",
          onclick: () => {
            const end = Math.min(+at + 60e3, Date.now());
            model.set("span", { range: "hour", start: end - 3600e3, end, live: false });
            model.save_changes();
          },
        }, "Show it"));
    } else {
      say(h("h2", {}, "Nothing recorded yet in this span."),
        h("p", {}, "The lake has no frames. Start recording with ", h("code", {}, "lifelog up"),
          "; a frame appears here about a minute after it was taken. If none comes, ",
          h("code", {}, "lifelog doctor"), " says why."));
    }
  }

  function showHead() {
    const total = shown?.total;
    count.textContent = !total ? "" : total === 1 ? "1 frame" : `${total.toLocaleString()} frames`;
    choice.hidden = devices.length < 2;
    choice.replaceChildren(h("option", { value: "" }, "All devices"),
      ...devices.map((name) => h("option", { value: name, selected: name === device }, plain(name))));
    root.classList.toggle("ll-many-devices", devices.length > 1);
  }

  /** Load the span; what is shown stays until the first page of the new one is here. */
  async function start(keep = false) {
    const span = model.get("span");
    if (!span.start || open >= 0) return; // the frames under an open dialog must not move
    const mine = (generation += 1);
    clearTimeout(retry);
    const frames = new Frames({ start: span.start, end: span.end }, device);
    if (shown === null) { message.dataset.state = "loading"; say(); draw(); }
    const scrolled = shown?.total && grid.getBoundingClientRect().top < -rowHeight;
    try {
      if (keep && scrolled && !failed) {
        const { frames: [newest] } = await frames.load(0, 1);
        if (mine === generation) fresh.hidden = newest === undefined || newest.id === shown.at(0)?.id;
        return;
      }
      const answer = await frames.need(0);
      if (mine !== generation || open >= 0) return;
      // The lane and the header hang on a kernel that didn't outlive the login, or the server.
      if (failed?.login || failed?.gone) { location.reload(); return; }
      shown?.stop.abort();
      shown = frames;
      failed = null;
      devices = answer.devices;
      fresh.hidden = true;
      if (frames.total === 0) sayEmpty(answer.newest_at);
      else { message.dataset.state = "shown"; say(); }
      showHead();
      draw();
      if (!model.get("painted")) { model.set("painted", true); model.save_changes(); }
    } catch (error) {
      if (mine === generation) fail(error);
    }
  }

  let before = {};
  function onSpan() {
    const span = model.get("span");
    const ticked = span.live && before.live && span.range === before.range;
    before = span;
    start(ticked);
  }
  let frameAsked = 0;
  function onMove() {
    cancelAnimationFrame(frameAsked);
    frameAsked = requestAnimationFrame(draw);
  }
  model.on("change:span", onSpan);
  document.addEventListener("scroll", onMove, { capture: true, passive: true });
  const sized = new ResizeObserver(onMove);
  sized.observe(root);
  onSpan();
  return () => {
    model.off("change:span", onSpan);
    document.removeEventListener("scroll", onMove, { capture: true });
    sized.disconnect();
    clearTimeout(retry);
    shown?.stop.abort();
  };
}

export default { render };
