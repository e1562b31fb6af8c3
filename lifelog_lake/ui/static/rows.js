// Long lists: pages of the REST API as they are needed, and only the rows near the window.

const PAGE_ROWS = 60;
const OVERSCAN_ROWS = 3;

const isoTime = (ms) => new Date(ms).toISOString();

/** What is known of the events of one span: pages as they come, and how many there are. */
class Pages {
  constructor({ start, end }, streams, devices) {
    this.span = { start, end };
    this.streams = streams;
    this.devices = devices;
    this.total = null;
    this.pages = new Map();
    this.asked = new Map();
    this.seen = new Set(); // devices
    this.stop = new AbortController();
  }

  at(index) {
    return this.pages.get(Math.floor(index / PAGE_ROWS))?.[index % PAGE_ROWS];
  }

  /** Pages with a row from first up to last that are neither here nor under way. */
  missing(first, last) {
    const found = [];
    for (let page = Math.floor(first / PAGE_ROWS); page * PAGE_ROWS < last; page += 1) {
      if (!this.pages.has(page) && !this.asked.has(page)) found.push(page);
    }
    return found;
  }

  load(page, more = {}) {
    return ask("timeline", {
      start: isoTime(this.span.start), end: isoTime(this.span.end),
      stream: this.streams, device: this.devices, offset: page * PAGE_ROWS, limit: PAGE_ROWS, ...more,
    }, this.stop.signal);
  }

  /** Load a page once; the answer of a page, or undefined if it is here or under way. */
  async need(page) {
    if (this.pages.has(page) || this.asked.has(page)) { await this.asked.get(page); return undefined; }
    const asked = this.load(page);
    this.asked.set(page, asked);
    try {
      const answer = await asked;
      this.pages.set(page, answer.events);
      this.total = answer.total;
      for (const event of answer.events) this.seen.add(event.device);
      return answer;
    } finally {
      this.asked.delete(page);
    }
  }

  /** The event at an index, loaded if need be; undefined outside of the list. */
  async get(index) {
    if (this.total === null) await this.need(0);
    if (index < 0 || index >= this.total) return undefined;
    if (!this.at(index)) await this.need(Math.floor(index / PAGE_ROWS));
    return this.at(index);
  }

  /** Index of the newest event that began by a moment; -1 for an empty list. */
  async around(moment) {
    const { index = -1, total } = await this.load(0, { around: isoTime(moment), limit: 1 });
    this.total = total;
    return index;
  }
}

/**
 * Rows that exist only near the window. `make(index, event)` gives an element (event may be missing
 * yet), `measure(grid)` the number of columns and a row's height, `onFail` hears of errors.
 */
function virtualRows({ label, name, make, measure, onFail }) {
  const grid = h("div", { class: `ll-grid ll-grid-${name}`, role: "group", "aria-label": label });
  const rows = new Map(); // index -> {event, element}
  let shown = null;
  let layout = { columns: 1, height: 100 };
  let waiting = true;
  let wanted = -1; // the row that gets the focus as soon as it is here

  function draw() {
    const total = shown?.total ?? 0;
    layout = measure(grid) ?? layout;
    const { columns, height } = layout;
    grid.classList.toggle("ll-many-devices", (shown?.seen.size ?? 0) > 1);
    grid.style.height = `${(waiting ? 3 : Math.ceil(total / columns)) * height}px`;
    const top = grid.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / height) - OVERSCAN_ROWS) * columns;
    const after = (Math.ceil((window.innerHeight - top) / height) + OVERSCAN_ROWS) * columns;
    const last = waiting ? columns * 3 : Math.min(total, Math.max(after, columns));
    for (const [index, { element }] of rows) {
      if (index >= last || (index < first && element !== document.activeElement)) {
        element.remove();
        rows.delete(index);
      }
    }
    for (let index = first; index < last; index += 1) place(index, shown?.at(index));
    if (waiting) return;
    for (const page of shown.missing(first, last)) need(page);
  }

  function place(index, event) {
    const before = rows.get(index);
    let element = before?.element;
    if (!before || before.event?.id !== event?.id || before.event?.end !== event?.end) {
      const focused = element !== undefined && element === document.activeElement;
      element?.remove();
      element = make(index, event);
      element.dataset.index = index;
      rows.set(index, { event, element });
      grid.append(element);
      if (focused || (event && index === wanted)) element.focus({ preventScroll: true });
    }
    const row = Math.floor(index / layout.columns);
    element.style.transform = `translate(calc(var(--column-step) * ${index % layout.columns}), ${row * layout.height}px)`;
  }

  function need(page) {
    const pages = shown;
    pages.need(page).then(() => { if (pages === shown) draw(); }, (error) => { if (pages === shown) onFail(error); });
  }

  /** Bring a row into the window; the place that it then has. */
  function reveal(index) {
    const top = grid.getBoundingClientRect().top + Math.floor(index / layout.columns) * layout.height;
    if (top < 0 || top + layout.height > window.innerHeight) {
      scroller().scrollBy({ top: top - window.innerHeight / 3 });
      draw();
    }
  }

  function focus(index) {
    if (index < 0 || !shown || index >= shown.total) return;
    reveal(index);
    wanted = index;
    rows.get(index)?.element.focus({ preventScroll: true });
  }

  function scroller() {
    for (let at = grid.parentElement; at; at = at.parentElement) {
      if (at.scrollHeight > at.clientHeight && /auto|scroll/.test(getComputedStyle(at).overflowY)) return at;
    }
    return document.scrollingElement;
  }

  grid.addEventListener("focusin", () => { wanted = -1; });
  grid.addEventListener("keydown", (event) => {
    const index = Number(document.activeElement?.dataset.index ?? -1);
    const { columns } = layout;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -index, End: (shown?.total ?? 0) - 1 - index };
    if (index < 0 || !(event.key in steps)) return;
    event.preventDefault();
    focus(Math.min(Math.max(index + steps[event.key], 0), shown.total - 1));
  });

  return {
    grid, draw, focus, reveal,
    isScrolled: () => grid.getBoundingClientRect().top < -layout.height,
    /** Show other pages; null: rows are on their way. */
    show(pages) {
      waiting = pages === null;
      if (pages !== null) shown = pages;
      draw();
    },
    /** Make every row anew, as what they look like has changed. */
    renew() {
      for (const { element } of rows.values()) element.remove();
      rows.clear();
      draw();
    },
  };
}
