// The journal's page: quick add, entries as cards, one of them whole, the form, the export.

const RETRY_LIST_MS = 5000;

function onJournalPage() {
  return /\/lifelog\/journal$/.test(location.pathname);
}

/** {entry, tags}: which one is open, and which tags all of the list have. */
function askedOfJournal() {
  const query = new URLSearchParams(onJournalPage() ? location.search : "");
  return { entry: query.get("entry"), tags: query.getAll("tag").filter(Boolean).slice(0, 20) };
}

function render({ model, el }) {
  let asked = askedOfJournal();
  let shown = null;
  let retry = 0;

  const quick = quickAdd({ added: (entry) => changed(entry), more: (title, tags) => form.open(null, { title, tags }) });
  const said = h("p", { class: "ll-journal-said", role: "status" });
  const detail = entryDialog({
    edit: (entry) => form.open(entry),
    only: (tag) => go({ entry: null, tags: [...new Set([...asked.tags, tag])] }),
    left: () => go({ entry: null }),
    deleted,
  });
  const form = entryForm(model.get("limits"), {
    saved(entry) {
      changed(entry);
      if (detail.dialog.open) detail.show(entry.id, entry);
      else { quick.clear(); tell("Kept: ", h("a", { href: entryUrl(entry.id) }, h("bdi", {}, line(entry.title)))); }
    },
  });
  const chosen = h("div", { class: "ll-journal-tags", role: "group", "aria-label": "Only entries with these tags" });
  const message = h("div", { class: "ll-message", role: "status", hidden: true });
  const rows = virtualRows({ ...cardKind((id) => go({ entry: id })), onFail: fail });
  const zone = h("span", { class: "ll-zone" }, `Times in ${ZONE.replaceAll("_", " ")}`);
  const root = h("div", { class: "ll ll-journal" },
    quick.root, said,
    h("div", { class: "ll-journal-head" }, chosen, zone, exportMenu()),
    message, h("section", { class: "ll-entries", "aria-label": "Entries" }, rows.grid),
    detail.dialog, form.dialog);
  el.append(root);

  /** Look at something else; Back comes back. */
  function go(part) {
    const before = asked;
    asked = { ...asked, ...part };
    if (onJournalPage()) {
      const query = new URLSearchParams(asked.tags.map((tag) => ["tag", tag]));
      if (asked.entry) query.set("entry", asked.entry);
      history.pushState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}`);
    }
    follow(before);
  }

  function follow(before) {
    if (String(before.tags) !== String(asked.tags)) start();
    if (asked.entry) detail.show(asked.entry, shown.known[shown.index(asked.entry)]);
    else if (before.entry) {
      detail.hide();
      rows.focus(shown.index(before.entry));
    }
  }

  function tell(...children) {
    said.replaceChildren(...children);
  }

  function deleted(entry) {
    shown.drop(entry.id);
    go({ entry: null });
    show();
    tell("Deleted: ", h("bdi", {}, line(entry.title)), " ", h("button", { type: "button", class: "ll-button", onclick: () => undelete(entry.id) }, "Bring it back"));
  }

  async function undelete(id) {
    try {
      changed(await send(`events/${encodeURIComponent(id)}/undelete`));
      tell("It is back.");
    } catch (error) {
      if (!error.message) throw error;
      tell(refusal(error));
    }
  }

  function say(...children) {
    message.replaceChildren(...children);
    message.hidden = children.length === 0;
  }

  function fail(error) {
    if (error.name === "AbortError") return;
    say(h("h2", {}, error.message || "Something went wrong."), h("p", {}, error.hint || "Load the page again."),
      error.login
        ? h("a", { class: "ll-button", href: `${baseUrl()}login?next=${encodeURIComponent(location.pathname + location.search)}` }, "Log in")
        : h("button", { type: "button", class: "ll-button", onclick: () => start() }, "Try again"));
    clearTimeout(retry);
    if (error.again !== false && !error.login) retry = setTimeout(() => start(), RETRY_LIST_MS);
  }

  /** Load the list from its beginning; `quietly`: what is shown stays until it is here. */
  async function start(quietly = false) {
    shown?.stop.abort();
    clearTimeout(retry);
    chosen.replaceChildren(...asked.tags.map((tag) => h("button", {
      type: "button", class: "ll-button ll-journal-tag", "aria-label": `No longer only entries with the tag ${line(tag)}`,
      onclick: () => go({ tags: asked.tags.filter((other) => other !== tag) }),
    }, h("bdi", {}, `#${line(tag)}`), " ✕")));
    const entries = (shown = new Entries(asked.tags));
    if (!quietly) rows.show(null);
    try {
      await entries.need();
      if (entries !== shown) return;
      show();
      if (quietly) rows.renew();
    } catch (error) {
      if (entries === shown) fail(error);
    }
  }

  function show() {
    const empty = shown.total === 0;
    if (!empty) say();
    else if (asked.tags.length) say(h("h2", {}, "No entry has this tag."), h("p", {}, "Take it away above to see all."));
    else say(h("h2", {}, "Nothing written yet."), h("p", {}, "Moments, receipts, notes and files: type what happened above and press Enter. From a shell: ", h("code", {}, "lifelog event create")));
    rows.grid.hidden = empty;
    rows.show(shown);
  }

  /** An entry was written or changed here. */
  function changed(entry) {
    shown.put(entry);
    show();
    rows.renew();
  }

  let frameAsked = 0;
  function onMove() {
    cancelAnimationFrame(frameAsked);
    frameAsked = requestAnimationFrame(() => rows.draw());
  }
  function onBack() {
    if (!onJournalPage()) return;
    const before = asked;
    asked = askedOfJournal();
    follow(before);
  }
  /** Something may have been written elsewhere meanwhile; who is in the midst of the list isn't moved. */
  function onReturn() {
    if (document.visibilityState === "visible" && !document.querySelector("dialog[open]") && !rows.isScrolled() && !rows.grid.contains(document.activeElement)) start(true);
  }
  document.addEventListener("visibilitychange", onReturn);
  document.addEventListener("scroll", onMove, { capture: true, passive: true });
  window.addEventListener("popstate", onBack);
  const sized = new ResizeObserver(onMove);
  sized.observe(root);
  start();
  let gone = false;
  /** A dialog can open only once it is on the page. */
  function openAddressed() {
    if (gone || !asked.entry) return;
    if (root.isConnected) detail.show(asked.entry);
    else requestAnimationFrame(openAddressed);
  }
  openAddressed();
  return () => {
    gone = true;
    form.stop();
    clearTimeout(retry);
    shown.stop.abort();
    document.removeEventListener("visibilitychange", onReturn);
    document.removeEventListener("scroll", onMove, { capture: true });
    window.removeEventListener("popstate", onBack);
    sized.disconnect();
  };
}

export default { render };
