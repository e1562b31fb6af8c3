// A hit as it is shown: when, what, why it was found, and where it leads.

const HALF_HOUR_MS = 30 * 60e3;
const WHOLE = 10000;
/** Also those that no lane shows. */
const FOUND_LABELS = { ...LABELS, ocr: "Text on screen", transcript: "Transcripts" };

/** Where a hit leads: an entry is shown whole, all else on the timeline at its moment. */
function hitUrl({ at, stream, id }) {
  if (stream === "journal") return entryUrl(id);
  const moment = new Date(Date.parse(at));
  const query = new URLSearchParams({
    range: "hour", at: new Date(+moment - HALF_HOUR_MS).toISOString(), moment: moment.toISOString(),
  });
  return `${baseUrl()}lifelog/timeline?${query}`;
}

/** A snippet with its marks. Marks count characters, not the halves of which JavaScript makes some. */
function marked({ snippet, marks }) {
  const characters = [...snippet];
  const parts = [];
  let done = 0;
  for (const [start, end] of marks) {
    parts.push(plain(characters.slice(done, start).join("")));
    parts.push(h("mark", {}, plain(characters.slice(start, end).join(""))));
    done = end;
  }
  parts.push(plain(characters.slice(done).join("")));
  return h("bdi", { class: "ll-hit-snippet" }, ...parts);
}

/** The frame in which the words stood, with a box around each. */
function picture({ blob, boxes, stream }) {
  if (!blob || stream !== "ocr") return null;
  const share = (part) => `${(100 * part) / WHOLE}%`;
  const image = h("img", { src: thumbnailUrl(blob), alt: "", loading: "lazy", decoding: "async" });
  const shown = h("span", { class: "ll-hit-picture" }, image, ...boxes.map(([left, top, width, height]) => {
    const box = h("span", { class: "ll-hit-box" });
    Object.assign(box.style, { left: share(left), top: share(top), width: share(width), height: share(height) });
    return box;
  }));
  image.addEventListener("error", () => shown.remove());
  return shown;
}

/** What a hit says: a window that was come back to says it again, so does a frame that changed elsewhere. */
function wording({ stream, device, title, snippet, app, site }) {
  return JSON.stringify([stream, device, title, snippet, app, site]);
}

/** Put hits into groups that say the same, `anywhere` or one after the other; gives the groups that changed. */
function gather(hits, groups, anywhere) {
  const changed = new Set();
  for (const hit of hits) {
    const says = wording(hit);
    let group = anywhere ? groups.find((one) => one.says === says) : groups.at(-1);
    if (group?.says !== says) groups.push((group = { says, hits: [] }));
    group.hits.push(hit);
    changed.add(group);
  }
  return changed;
}

function whenItWas({ at }) {
  const moment = new Date(at);
  return h("time", { datetime: at, title: longTime(moment) }, `${shortDay(moment)}, ${shortTime(moment)}`);
}

function hitItem([hit, ...alike]) {
  const title = hit.title && !hit.snippet.includes(hit.title) ? h("bdi", { class: "ll-hit-title" }, plain(hit.title)) : null;
  return h("li", { class: "ll-hit" },
    h("a", { class: "ll-hit-link", href: hitUrl(hit), "data-id": hit.id },
      picture(hit),
      h("span", { class: "ll-hit-text" },
        h("span", { class: "ll-hit-head" },
          h("span", { class: "ll-hit-stream", "data-stream": hit.stream }, FOUND_LABELS[hit.stream] ?? plain(hit.label)),
          whenItWas(hit),
          h("bdi", { class: "ll-hit-device" }, plain(hit.device))),
        title,
        marked(hit),
        h("span", { class: "ll-hit-beside" },
          ...[hit.app, hit.site].filter(Boolean).map((text) => h("bdi", {}, plain(text))),
          ...hit.tags.map((tag) => h("bdi", { class: "ll-hit-tag" }, `#${plain(tag)}`))))),
    alike.length ? h("details", { class: "ll-hit-alike" },
      h("summary", {}, `${alike.length} more like it`),
      h("ul", {}, ...alike.map((one) => h("li", {}, h("a", { href: hitUrl(one), "data-id": one.id }, whenItWas(one)))))) : null);
}
