// Entries, newest first: pages by cursor, and a card for each that is near the window.

const CARDS_AHEAD = 3;

/** Entries as far as they were asked for; those behind come as the window nears them. */
class Entries {
  constructor(tags) {
    this.tags = tags;
    this.known = [];
    this.cursor = null;
    this.whole = false;
    this.asking = null;
    this.seen = new Set();
    this.stop = new AbortController();
  }

  /** Rows to make room for: some more while there are more. */
  get total() {
    return this.known.length + (this.whole ? 0 : CARDS_AHEAD);
  }

  at(index) {
    return this.known[index];
  }

  missing(first, last) {
    return this.whole || this.asking || last <= this.known.length ? [] : [this.cursor];
  }

  /** Load what comes after the last one that is known. */
  need() {
    this.asking ??= this.next().finally(() => { this.asking = null; });
    return this.asking;
  }

  async next() {
    const { events, cursor } = await ask("events", { tag: this.tags, limit: PAGE_ROWS, cursor: this.cursor }, this.stop.signal);
    const there = new Set(this.known.map(({ id }) => id));
    this.known.push(...events.filter(({ id }) => !there.has(id)));
    this.cursor = cursor;
    this.whole = cursor === null;
  }

  index(id) {
    return this.known.findIndex((entry) => entry.id === id);
  }

  /** Take in an entry as it is now, at its place; one beyond what is known comes with its page. */
  put(entry) {
    this.drop(entry.id);
    if (!this.tags.every((tag) => entry.tags.includes(tag))) return;
    const place = this.known.findIndex((other) => Date.parse(other.at) <= Date.parse(entry.at));
    if (place >= 0) this.known.splice(place, 0, entry);
    else if (this.whole) this.known.push(entry);
  }

  drop(id) {
    this.known = this.known.filter((entry) => entry.id !== id);
  }
}

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  image: ["Picture", "M2.5 3.5h11v9h-11zM2.5 11l3-3 2.5 2.5 2-2 3.5 3.5M10.5 6.2h.01"],
  video: ["Video", "M2.5 3.5h11v9h-11zM6.7 6v4l3.3-2z"],
  pdf: ["PDF", "M4 1.5h5.5L12.5 5v9.5H4zM9.5 1.5V5h3M6 8h4.5M6 11h4.5"],
  text: ["Text", "M2.5 4h11M2.5 7h11M2.5 10h11M2.5 13h6"],
  file: ["File", "M4 1.5h5.5L12.5 5v9.5H4zM9.5 1.5V5h3"],
};

function kindOf({ media_type: type }) {
  const kind = type === "application/pdf" ? "pdf" : type.split("/")[0];
  return Object.hasOwn(ICONS, kind) ? kind : "file";
}

function icon(kind) {
  const picture = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  for (const [name, value] of [["viewBox", "0 0 16 16"], ["class", "ll-icon"], ["aria-hidden", "true"]]) picture.setAttribute(name, value);
  path.setAttribute("d", ICONS[kind][1]);
  picture.append(path);
  return picture;
}

/** "2 Pictures, PDF" as icons with their number. */
function fileIcons(files) {
  if (!files.length) return null;
  const counts = new Map();
  for (const file of files) counts.set(kindOf(file), (counts.get(kindOf(file)) ?? 0) + 1);
  const words = [...counts].map(([kind, count]) => `${count} ${ICONS[kind][0]}${count > 1 && kind !== "text" ? "s" : ""}`).join(", ");
  return h("span", { class: "ll-entry-files", role: "img", "aria-label": `Attached: ${words}`, title: files.map(({ name }) => line(name)).join("\n") },
    ...[...counts].map(([kind, count]) => h("span", {}, icon(kind), count > 1 ? String(count) : "")));
}

function cardMeasure(grid) {
  grid.style.setProperty("--column-step", "0px");
  return { columns: 1, height: parseFloat(getComputedStyle(grid).getPropertyValue("--ll-entry-step")) };
}

/** `open(id)` shows an entry whole. */
function cardKind(open) {
  return {
    name: "entries", label: "Entries, newest first", measure: cardMeasure,
    make(index, entry) {
      if (!entry) return h("div", { class: "ll-entry ll-entry-waits", "aria-hidden": "true" });
      const at = new Date(entry.at);
      return h("a", {
        class: "ll-entry", href: entryUrl(entry.id), "data-id": entry.id,
        onclick: (event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          open(entry.id);
        },
      },
      h("time", { class: "ll-entry-time", datetime: entry.at, title: longTime(at) }, h("b", {}, shortTime(at)), h("span", {}, shortDay(at))),
      h("span", { class: "ll-entry-text" },
        h("bdi", { class: "ll-entry-title" }, line(entry.title)),
        h("bdi", { class: "ll-entry-snippet" }, line(entry.description.slice(0, 400))),
        h("span", { class: "ll-entry-tags" }, ...entry.tags.slice(0, 12).map((tag) => h("bdi", {}, `#${line(tag)}`)))),
      fileIcons(entry.attachments));
    },
  };
}
