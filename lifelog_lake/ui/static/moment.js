// A moment, large: the frame that was on the screen, and what was going on then.

/** A web address that can only lead to a web page. */
function safeLink(text) {
  let url = null;
  try { url = new URL(text); } catch { /* not an address: shown as text */ }
  const shown = h("bdi", {}, plain(text));
  if (url?.protocol !== "http:" && url?.protocol !== "https:") return shown;
  return h("a", { href: url.href, target: "_blank", rel: "noopener noreferrer" }, shown);
}

/** `focus(index)` gives the focus back to the tile of a frame. */
function momentDialog(model, player, focus) {
  let pages = null; // the frames that Earlier and Later walk through
  let index = -1;
  let moment = 0;
  let asked = 0;

  const large = h("img", { class: "ll-large", alt: "", decoding: "async", hidden: true, onerror: () => { large.hidden = true; note.textContent = "The picture of this frame can't be read. Check the lake with: lifelog verify"; } });
  const note = h("p", { class: "ll-broken" });
  const when = h("h2", { class: "ll-when" });
  const about = h("p", { class: "ll-facts" });
  const facts = h("div", { class: "ll-going-on", "aria-live": "polite" });
  const toEarlier = h("button", { type: "button", class: "ll-button", onclick: () => walk(1) }, "‹ Earlier");
  const toLater = h("button", { type: "button", class: "ll-button", onclick: () => walk(-1) }, "Later ›");
  const original = h("a", { class: "ll-button ll-original", target: "_blank", rel: "noopener" }, "Open picture");
  const stage = h("div", { class: "ll-stage" }, large, note);
  const side = h("div", { class: "ll-side" },
    when, about, facts,
    h("div", { class: "ll-dialog-buttons" }, toEarlier, toLater, original,
      h("button", { type: "button", class: "ll-button ll-close", autofocus: true, onclick: () => hide() }, "Close")));
  const dialog = h("dialog", {
    class: "ll ll-dialog", "aria-label": "Moment",
    onkeydown: (event) => {
      if (event.target.closest("audio")) return;
      if (event.key === "ArrowLeft") walk(1);
      else if (event.key === "ArrowRight") walk(-1);
      else if (event.key.toLowerCase() === "p" && player.isOpen()) player.toggle();
      else return;
      event.preventDefault();
    },
    onclick: (event) => { if (event.target === stage) hide(); },
    oncancel: (event) => { event.preventDefault(); hide(); },
    onclose: () => hide(),
  }, stage, side);

  /** Close at once: the dialog's own close event comes later, and would take back a focus that has moved on. */
  function hide() {
    if (!moment) return;
    const last = index;
    moment = 0;
    asked += 1;
    document.querySelector(".ll-views")?.append(player.root);
    dialog.close();
    large.removeAttribute("src");
    if (model.get("view").open) change(model, { open: false });
    focus(last);
  }

  function reveal() {
    if (dialog.open || !moment) return;
    if (!dialog.isConnected) { requestAnimationFrame(reveal); return; } // a page that opens with it
    dialog.showModal();
    dialog.append(player.root); // what is outside of a modal dialog can't be used
  }

  /** A frame of a list that is known. */
  async function showFrame(frames, at) {
    const mine = (asked += 1);
    const frame = await frames.get(at).catch(() => undefined);
    if (!frame || mine !== asked) return;
    [pages, index, moment] = [frames, at, +new Date(frame.at)];
    draw(frame);
    change(model, { moment, open: true });
  }

  /** Any moment: the frame that was on the screen then, or the last before it. */
  async function showMoment(at) {
    const mine = (asked += 1);
    moment = at;
    const { devices } = model.get("view");
    pages = new Pages(model.get("view"), ["screen"], devices);
    index = -1;
    draw(undefined);
    note.textContent = "";
    try {
      const found = await pages.around(at);
      const frame = found < 0 ? undefined : await pages.get(found);
      if (mine !== asked) return;
      index = frame ? found : -1;
      draw(frame && new Date(frame.at) <= at + 1 ? frame : undefined);
    } catch (error) {
      if (mine === asked && error.message) note.textContent = `${error.message} ${error.hint ?? ""}`;
    }
  }

  function walk(step) {
    if (pages?.total && index + step >= 0 && index + step < pages.total) showFrame(pages, index + step);
  }

  function draw(frame) {
    const at = frame ? new Date(frame.at) : null;
    const until = frame ? new Date(frame.end ?? frame.at) : null;
    when.textContent = longTime(new Date(moment));
    large.hidden = !frame;
    note.textContent = frame ? "" : "No frame of the screen at this moment.";
    original.hidden = !frame;
    if (frame) {
      large.src = blobUrl(frame.blob);
      large.alt = `Screen at ${longTime(at)}`;
      original.href = blobUrl(frame.blob);
    } else large.removeAttribute("src");
    const said = frame ? [
      frame.device,
      moment > +until + 5000 ? `frame of ${duration(moment - at)} before` : until - at >= 1000 ? `shown for ${duration(until - at)}` : "",
      byteSize(frame.blob_bytes),
    ].filter(Boolean) : [];
    about.replaceChildren(...said.flatMap((fact, place) => [place ? " · " : "", h("bdi", {}, plain(fact))]));
    toLater.disabled = index <= 0;
    toEarlier.disabled = index < 0 || index >= (pages?.total ?? 0) - 1;
    reveal();
    loadFacts(frame);
  }

  async function loadFacts(frame) {
    const mine = asked;
    const at = moment;
    const view = model.get("view");
    try {
      const { events } = await ask("timeline", { ...within(view, at) ? { start: isoTime(view.start), end: isoTime(view.end) } : { start: isoTime(at), end: isoTime(at + 1) }, moment: isoTime(at), stream: Object.keys(LABELS).filter((name) => name !== "screen"), device: view.devices, limit: 100 });
      if (mine === asked && at === moment) showFacts(events, frame?.device, at);
    } catch (error) {
      if (mine === asked && error.message) facts.replaceChildren(h("p", {}, `${error.message} ${error.hint ?? ""}`));
    }
  }

  function showFacts(events, first, at) {
    const devices = [...new Set(events.map((event) => event.device))].sort((a, b) => (b === first) - (a === first));
    const order = Object.keys(LABELS);
    facts.replaceChildren(...devices.flatMap((name) => [
      devices.length > 1 || (first !== undefined && name !== first) ? h("h3", {}, h("bdi", {}, plain(name))) : null,
      h("dl", {}, ...events.filter((event) => event.device === name)
        .sort((a, b) => order.indexOf(a.stream) - order.indexOf(b.stream))
        .flatMap((event) => [h("dt", {}, LABELS[event.stream]), h("dd", {}, ...fact(event, at))])),
    ].filter(Boolean)));
    if (!events.length) facts.replaceChildren(h("p", {}, "No window, page or sound is known of this moment."));
  }

  function fact(event, at) {
    if (event.stream === "audio") {
      const offset = at - new Date(event.at);
      return [soundFacts(event), event.blob ? h("button", { type: "button", class: "ll-button ll-play-here", onclick: () => player.play(event, Math.max(1, offset)) }, "▶ Play from here") : ""];
    }
    return [
      event.name ? h("b", {}, h("bdi", {}, plain(event.name))) : "",
      event.detail ? h("span", { class: "ll-fact-detail" }, h("bdi", {}, plain(event.detail))) : "",
      event.url ? h("span", { class: "ll-fact-url" }, safeLink(event.url)) : "",
      lasted(event) >= 1000 ? h("span", { class: "ll-fact-time" }, `${clockTime(new Date(event.at))} – ${clockTime(new Date(event.end))}`) : "",
    ];
  }

  return {
    dialog, showFrame,
    /** Follow the view: it may have come from the lanes, the address or Back. */
    follow() {
      const view = model.get("view");
      if (!view.open) hide();
      else if (view.moment !== moment) showMoment(view.moment);
    },
  };
}
