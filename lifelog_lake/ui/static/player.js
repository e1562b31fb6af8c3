// Plays recorded intervals, one after the other: when one ends, the next is at hand already.

/** `changed` is called when another interval plays, or none. */
function soundPlayer(model, changed) {
  let event = null;
  let pages = null;
  let index = -1;
  let queued = 0;
  const audio = h("audio", { controls: true, preload: "auto", onended: () => step(1), onerror: () => { if (event) say("This sound can't be played. Check the lake with: lifelog verify"); } });
  const ahead = h("audio", { preload: "auto", hidden: true });
  const text = h("div", { class: "ll-player-text", role: "status" });
  const toEarlier = h("button", { type: "button", class: "ll-button", "aria-label": "Earlier interval", title: "Earlier interval", onclick: () => step(-1) }, "‹");
  const toLater = h("button", { type: "button", class: "ll-button", "aria-label": "Later interval", title: "Later interval", onclick: () => step(1) }, "›");
  const root = h("div", { class: "ll-player", role: "region", "aria-label": "Sound player", hidden: true },
    text, toEarlier, audio, toLater,
    h("button", { type: "button", class: "ll-button ll-player-close", "aria-label": "Close the player", title: "Close", onclick: () => close() }, "✕"), ahead);

  const say = (...children) => text.replaceChildren(...children);

  async function play(next, offsetMs) {
    if (event?.id === next.id && offsetMs === 0) { toggle(); return; }
    event = next;
    root.hidden = false;
    document.body.classList.add("ll-has-player");
    audio.src = blobUrl(next.blob);
    if (offsetMs > 0) audio.currentTime = offsetMs / 1000;
    const at = new Date(next.at);
    say(h("b", {}, `${shortDay(at)}, ${clockTime(at)}`), h("span", {}, ` ${soundFacts(next)} · `, h("bdi", {}, plain(next.device))));
    changed();
    audio.play().catch((error) => { if (error.name === "NotAllowedError") say("Press play to hear it."); });
    await queue(next);
  }

  /** Find the neighbours, in what is looked at or else in its day, and fetch the one that comes after. */
  async function queue(current) {
    const mine = (queued += 1);
    const at = +new Date(current.at);
    const view = model.get("view"); // it may have moved away while this plays
    const own = new Pages(within(view, at) ? view : { start: +dayStart(at), end: +addDays(at, 1) }, ["audio"], [current.device]);
    try {
      const found = await own.around(at);
      if (mine !== queued) return;
      [pages, index] = [own, found];
      const [later, earlier] = [await heard(-1), await heard(1)];
      if (mine !== queued) return;
      toLater.disabled = !later;
      toEarlier.disabled = !earlier;
      if (later) ahead.src = blobUrl(later.event.blob);
    } catch {
      toLater.disabled = toEarlier.disabled = true; // it plays; what comes after isn't known
    }
  }

  /** The nearest interval in a direction that has sound. */
  async function heard(direction) {
    for (let at = index + direction; pages && at >= 0 && at < pages.total; at += direction) {
      const found = await pages.get(at);
      if (found?.blob) return { event: found };
    }
    return null;
  }

  async function step(later) {
    const next = await heard(-later).catch(() => null);
    if (next) play(next.event, 0);
    else { event = null; changed(); }
  }

  function toggle() {
    if (audio.paused) audio.play().catch(() => {});
    else audio.pause();
  }

  function close() {
    event = null;
    audio.pause();
    audio.removeAttribute("src");
    root.hidden = true;
    document.body.classList.remove("ll-has-player");
    changed();
  }

  return { root, play, toggle, close, playing: () => event?.id, isOpen: () => !root.hidden };
}
