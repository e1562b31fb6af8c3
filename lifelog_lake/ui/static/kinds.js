// The three lists: frames as tiles, what else happened as lines, sound as lines to play.

const TILE_MIN_PX = 216;
const NARROW_PX = 560;
const CAPTION_PX = 44;
const LINE_PX = 44;
const APART = ["screen", "audio"];

const lasted = ({ at, end }) => (end ? new Date(end) - new Date(at) : 0);
const chosen = (view) => (view.streams.length ? view.streams : Object.keys(LABELS));

/** The colour that an event has on the lanes. */
function colourOf({ stream, name }, colours) {
  if (stream === "window") return (Object.hasOwn(colours, name ?? "") && colours[name]) || "var(--ll-other)";
  if (stream === "afk") return name === "Active" ? "var(--ll-active)" : "var(--ll-away)";
  return `var(--ll-${stream})`;
}

function tileMeasure(grid) {
  const width = grid.clientWidth;
  if (!width) return null;
  const gap = width < NARROW_PX ? 10 : 14;
  const columns = Math.max(width < NARROW_PX ? 2 : 1, Math.floor((width + gap) / (TILE_MIN_PX + gap)));
  const tile = (width - gap * (columns - 1)) / columns;
  const thumb = Math.round(tile * 9 / 16);
  grid.style.setProperty("--tile-width", `${tile}px`);
  grid.style.setProperty("--thumb-height", `${thumb}px`);
  grid.style.setProperty("--column-step", `${tile + gap}px`);
  return { columns, height: thumb + CAPTION_PX + gap };
}

function lineMeasure(grid) {
  grid.style.setProperty("--column-step", "0px");
  return { columns: 1, height: grid.clientWidth < NARROW_PX ? LINE_PX + 16 : LINE_PX };
}

function device(event) {
  return h("span", { class: "ll-row-device" }, h("bdi", {}, plain(event.device)));
}

function framesKind(open) {
  return {
    name: "frames", noun: "frame", label: "Screen frames, newest first", measure: tileMeasure,
    streams: (view) => chosen(view).filter((name) => name === "screen"),
    make(index, frame) {
      if (!frame) return h("div", { class: "ll-tile ll-skeleton" }, h("div", { class: "ll-thumb" }));
      const at = new Date(frame.at);
      const picture = h("img", { alt: "", loading: "lazy", decoding: "async", draggable: "false", src: thumbnailUrl(frame.blob) });
      const thumb = h("div", { class: "ll-thumb" }, picture);
      picture.addEventListener("error", () => thumb.classList.add("ll-missing"));
      return h("button", {
        type: "button", class: "ll-tile", "aria-label": `Frame of ${longTime(at)}, ${plain(frame.device)}`,
        onclick: () => open(index),
      }, thumb, h("span", { class: "ll-tile-time" }, clockTime(at),
        lasted(frame) >= 10000 ? h("span", { class: "ll-lasted" }, duration(lasted(frame))) : null),
      h("span", { class: "ll-tile-device" }, h("bdi", {}, plain(frame.device))));
    },
  };
}

function activityKind(model) {
  return {
    name: "activity", noun: "event", label: "What happened, newest first", measure: lineMeasure,
    streams: (view) => chosen(view).filter((name) => !APART.includes(name)),
    make(index, event) {
      if (!event) return h("div", { class: "ll-row ll-skeleton" });
      const at = new Date(event.at);
      return h("button", { type: "button", class: "ll-row", onclick: () => change(model, { moment: +at, open: true }) },
        h("span", { class: "ll-row-time" }, clockTime(at)),
        h("span", { class: "ll-row-lasted" }, lasted(event) ? duration(lasted(event)) : ""),
        h("span", { class: "ll-row-what" },
          h("span", { class: "ll-swatch", style: `background: ${colourOf(event, model.get("colours"))}` }),
          h("b", {}, h("bdi", {}, plain(event.name ?? LABELS[event.stream]))), " ",
          h("span", { class: "ll-row-detail" }, h("bdi", {}, plain(event.detail ?? "")))),
        h("span", { class: "ll-row-stream" }, LABELS[event.stream]), device(event));
    },
  };
}

function soundKind(player) {
  return {
    name: "sound", noun: "interval", label: "Sound, newest first", measure: lineMeasure,
    streams: (view) => chosen(view).filter((name) => name === "audio"),
    make(index, event) {
      if (!event) return h("div", { class: "ll-row ll-skeleton" });
      const at = new Date(event.at);
      const playing = player.playing() === event.id;
      return h("button", {
        type: "button", class: "ll-row ll-sound", "aria-pressed": String(playing), disabled: !event.blob,
        "aria-label": `Play the sound of ${longTime(at)}`,
        onclick: () => player.play(event, 0),
      },
      h("span", { class: "ll-row-play", "aria-hidden": "true" }, playing ? "❚❚" : "▶"),
      h("span", { class: "ll-row-time" }, clockTime(at)),
      h("span", { class: "ll-row-lasted" }, event.blob ? duration(lasted(event)) : "Silent, not kept"),
      h("span", { class: "ll-row-what ll-speech" },
        h("span", { class: "ll-meter" }, h("span", { style: `width: ${Math.round(100 * (event.speech ?? 0))}%` })),
        h("span", { class: "ll-row-detail" }, soundFacts(event))),
      device(event));
    },
  };
}

/** "Speech 40 %, −32 dB" */
function soundFacts({ speech, level_dbfs: level }) {
  return [
    speech === null ? "" : speech > 0 ? `Speech ${Math.round(speech * 100)} %` : "No speech",
    level === null ? "" : `${level < 0 ? "−" : ""}${Math.abs(Math.round(level))} dB`,
  ].filter(Boolean).join(", ");
}
