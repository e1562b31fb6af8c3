// A hit as it is shown: when, what, why it was found, and where it leads.

const HALF_HOUR_MS = 30 * 60e3;
const WHOLE = 10000;
/** Also those that no lane shows. */
const FOUND_LABELS = { ...LABELS, ocr: "Text on screen", transcript: "Transcripts" };

/** The timeline's address at the moment of a hit. */
function momentUrl({ at }) {
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

function hitItem(hit) {
  const at = new Date(hit.at);
  const beside = [hit.title && !hit.snippet.includes(hit.title) ? hit.title : null, hit.app, hit.site];
  return h("li", { class: "ll-hit" },
    h("a", { class: "ll-hit-link", href: momentUrl(hit), "data-id": hit.id },
      picture(hit),
      h("span", { class: "ll-hit-text" },
        h("span", { class: "ll-hit-head" },
          h("span", { class: "ll-hit-stream", "data-stream": hit.stream }, FOUND_LABELS[hit.stream] ?? plain(hit.label)),
          h("time", { datetime: hit.at, title: longTime(at) }, `${shortDay(at)}, ${shortTime(at)}`),
          h("bdi", { class: "ll-hit-device" }, plain(hit.device))),
        marked(hit),
        h("span", { class: "ll-hit-beside" },
          ...beside.filter(Boolean).map((text) => h("bdi", {}, plain(text))),
          ...hit.tags.map((tag) => h("bdi", { class: "ll-hit-tag" }, `#${plain(tag)}`))))));
}
