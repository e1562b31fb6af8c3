// One entry, whole: what was written, its files, and what can be done with it.

/** Numbers as they were written: those that a browser would round are kept by their digits. */
async function exactJson(response) {
  return JSON.parse(await response.text(), (name, value, context) => (
    typeof value === "number" && context?.source !== undefined && JSON.rawJSON && String(value) !== context.source
      ? JSON.rawJSON(context.source) : value));
}

function askEntry(id) {
  return ask(`events/${encodeURIComponent(id)}`, {}, undefined, exactJson);
}

/** "20:30 in America/New York", if the person was in another zone then. */
function elsewhere({ at, tz }) {
  if (!tz || tz === ZONE) return "";
  try {
    const there = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short", hourCycle: "h23", timeZone: tz }).format(new Date(at));
    return `${there} in ${tz.replaceAll("_", " ")}`;
  } catch {
    return plain(tz); // a zone of a device that this browser doesn't know
  }
}

/** A value of the metadata as text: on one line if it is short. */
function valueText(value) {
  if (typeof value === "string") return value;
  const text = JSON.stringify(value);
  return text.length < 80 ? text : JSON.stringify(value, null, 2);
}

/**
 * `edit(entry)` opens the form, `deleted(entry)` hears of a delete, `only(tag)` shows the entries
 * with a tag, `left()` hears that the person goes back to the list.
 */
function entryDialog({ edit, deleted, only, left }) {
  let entry = null;
  let asked = 0;
  const title = h("h2", { class: "ll-detail-title" });
  const times = h("p", { class: "ll-detail-times" });
  const tags = h("div", { class: "ll-detail-tags", role: "group", "aria-label": "Tags" });
  const text = h("div", { class: "ll-detail-text" });
  const files = h("div", { class: "ll-files" });
  const metadata = h("dl", { class: "ll-detail-metadata" });
  const facts = h("p", { class: "ll-detail-facts" });
  const trouble = h("p", { class: "ll-field-error", role: "alert" });
  const body = h("div", { class: "ll-sheet-body" }, title, times, tags, text, files, metadata, facts);
  const toEdit = h("button", { type: "button", class: "ll-button ll-main", onclick: () => edit(entry) }, "Edit");
  const toDelete = h("button", { type: "button", class: "ll-button ll-danger", onclick: remove }, "Delete");
  const dialog = sheet("detail", "Entry", () => left());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) left(); });
  dialog.append(body, trouble, h("div", { class: "ll-sheet-buttons" }, toDelete,
    h("button", { type: "button", class: "ll-button", autofocus: true, onclick: () => left() }, "Close"), toEdit));

  function draw() {
    const at = new Date(entry.at);
    const there = elsewhere(entry);
    title.replaceChildren(h("bdi", {}, prose(entry.title)));
    times.replaceChildren(h("time", { datetime: entry.at }, longTime(at)), there ? ` (${there})` : "");
    tags.replaceChildren(...entry.tags.map((tag) => h("button", {
      type: "button", class: "ll-tag", title: "Only entries with this tag", onclick: () => only(tag),
    }, h("bdi", {}, `#${line(tag)}`))));
    text.replaceChildren(h("bdi", {}, prose(entry.description)));
    text.hidden = !entry.description;
    files.replaceChildren(...entry.attachments.map(fileFigure));
    metadata.replaceChildren(...Object.entries(entry.metadata).map(([name, value]) =>
      h("div", {}, h("dt", {}, h("bdi", {}, line(name))), h("dd", {}, h("bdi", {}, prose(valueText(value)))))));
    const written = (at) => `${shortDay(new Date(at))}, ${shortTime(new Date(at))}`;
    facts.replaceChildren(`Written ${written(entry.created_at)}`,
      entry.parent ? `, changed ${written(entry.updated_at)}` : "", " on ", h("bdi", {}, plain(entry.device)));
  }

  async function remove() {
    const many = entry.attachments.length;
    if (!await sure({
      title: "Delete this entry?", yes: "Delete", no: "Keep it",
      text: ["“", h("bdi", {}, line(entry.title).slice(0, 200)), "”", many ? ` with ${many === 1 ? "its file" : `its ${many} files`}` : "", ". It can be brought back afterwards."],
    })) return;
    trouble.textContent = "";
    try {
      await send(`events/${encodeURIComponent(entry.id)}`, undefined, { method: "DELETE", headers: { "If-Match": `"${entry.revision}"` } });
      deleted(entry);
    } catch (error) {
      if (!error.message) throw error;
      if (error.status === 404) { deleted(entry); return; }
      if (error.status === 412) await show(entry.id, null);
      trouble.textContent = error.status === 412 ? "It was changed meanwhile, and this is how it is now. It isn't deleted." : refusal(error);
    }
  }

  /** Show an entry, at first as the list knows it. */
  async function show(id, known) {
    const mine = (asked += 1);
    trouble.textContent = "";
    if (known) { entry = known; draw(); }
    else if (entry?.id !== id) { entry = null; title.textContent = "…"; for (const part of [times, tags, text, files, metadata, facts]) part.replaceChildren(); }
    toEdit.disabled = toDelete.disabled = true; // until it is known as it is now
    if (!dialog.open) dialog.showModal();
    try {
      const now = await askEntry(id);
      if (mine !== asked) return;
      entry = now;
      draw();
      toEdit.disabled = toDelete.disabled = false;
    } catch (error) {
      if (!error.message) throw error;
      if (mine !== asked) return;
      if (error.status === 404 && !entry) title.textContent = "There is no such entry.";
      trouble.textContent = error.status === 404 ? "It may have been deleted." : refusal(error);
    }
  }

  return {
    dialog, show,
    hide() { asked += 1; if (dialog.open) dialog.close(); },
  };
}
