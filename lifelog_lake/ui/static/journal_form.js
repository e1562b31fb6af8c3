// The form: a new entry, or a change of one. Nothing that was typed is lost, whatever the server says.

/** `saved(entry)` hears of an entry as it is now kept. */
function entryForm(limits, { saved }) {
  const fields = entryFields();
  const files = filesField(limits);
  const once = onceKeys();
  let entry = null; // what the form was made for, as it was then; null: a new one
  let initial = {};
  let busy = false;

  const heading = h("h2");
  const trouble = h("div", { class: "ll-form-trouble", role: "alert", hidden: true });
  const save = h("button", { class: "ll-button ll-main" }, "Save");
  const form = h("form", {
    class: "ll-form", novalidate: true,
    onsubmit: (event) => { event.preventDefault(); write(); },
    onkeydown: (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); write(); } },
    ondragover: (event) => { if (event.dataTransfer.types.includes("Files")) event.preventDefault(); },
    ondrop: (event) => { if (event.dataTransfer.files.length) { event.preventDefault(); files.add(event.dataTransfer.files); } },
    onpaste: (event) => { if (event.clipboardData.files.length) { event.preventDefault(); files.add(event.clipboardData.files); } },
  },
  h("div", { class: "ll-sheet-body" }, heading, trouble, ...fields.map(({ root }) => root), files.root),
  h("div", { class: "ll-sheet-buttons" },
    h("button", { type: "button", class: "ll-button", onclick: () => leave() }, "Cancel"), save));
  const dialog = sheet("form", "Entry form", () => leave());
  dialog.append(form);

  const changed = () => fields.filter(({ name, get }) => get() !== initial[name]);
  const isDirty = () => dialog.open && (busy || changed().length > 0 || files.changed());

  /** Take an entry as what the form starts from. */
  function startFrom(now) {
    entry = now;
    initial = Object.fromEntries(fields.map((one) => { one.set(one.of(now)); return [one.name, one.get()]; }));
    heading.textContent = entry ? "Edit entry" : "New entry";
  }

  function clear() {
    tell();
    for (const one of fields) { one.tell(""); one.beside(null); }
  }

  function tell(...children) {
    trouble.replaceChildren(...children.filter(Boolean));
    trouble.hidden = children.length === 0;
    if (children.length) trouble.scrollIntoView({ block: "nearest" });
  }

  async function leave() {
    if (busy) return;
    if (isDirty() && !await sure({ title: "Leave without saving?", text: ["What you typed is not saved."], yes: "Discard it", no: "Go on writing" })) return;
    dialog.close();
  }

  /** What a person changed, as the API takes it; throws what is to be said at a field. */
  function content() {
    const given = Object.fromEntries((entry ? changed() : fields.filter(({ get, name }) => name === "title" || get() !== initial[name]))
      .map((one) => [one.name, one.value(one.get())]));
    return given;
  }

  async function write() {
    if (busy) return;
    busy = save.disabled = true;
    form.setAttribute("aria-busy", "true");
    tell();
    for (const one of fields) one.tell("");
    try {
      const given = content();
      if (!entry) {
        const now = await createEntry(given, once);
        startFrom({ ...now, metadata: given.metadata ?? {} });
      } else if (Object.keys(given).length) {
        const zone = "at" in given ? { tz: ZONE } : {};
        const now = await send(`events/${encodeURIComponent(entry.id)}`, { ...given, ...zone }, { method: "PATCH", headers: { "If-Match": `"${entry.revision}"` } });
        startFrom({ ...now, metadata: given.metadata ?? entry.metadata });
      }
      for (const one of fields) one.beside(null);
      const whole = await files.save(entry.id);
      saved(await askEntry(entry.id));
      if (whole) dialog.close();
      else tell("The entry is kept, not all of its files are. See below.");
    } catch (error) {
      if (!error.message) throw error;
      await explain(error);
    } finally {
      busy = save.disabled = false;
      form.removeAttribute("aria-busy");
    }
  }

  async function explain(error) {
    if (error.status === 412) { await besides(); return; }
    if (error.status === 404 && entry) {
      tell("This entry was deleted meanwhile. What you typed is still here. ",
        h("button", { type: "button", class: "ll-button", onclick: bringBack }, "Bring it back and save"));
      return;
    }
    const at = fields.find(({ name }) => name === error.field?.split(".")[0]);
    if (at) { at.tell(refusal(error)); at.focus(); }
    else tell(refusal(error), ...(error.login ? [" What you typed is still here. ", logInAside(), " and save again."] : []));
  }

  async function bringBack() {
    try {
      entry = { ...entry, revision: (await send(`events/${encodeURIComponent(entry.id)}/undelete`)).revision };
    } catch (error) {
      if (!error.message) throw error;
      tell(refusal(error));
      return;
    }
    await write();
  }

  /** Another version was saved meanwhile: both are shown, and saving again goes on from there. */
  async function besides() {
    let theirs;
    try {
      theirs = await askEntry(entry.id);
    } catch (error) {
      if (!error.message) throw error;
      await explain(error);
      return;
    }
    const taken = [];
    for (const one of fields) {
      const [mine, other] = [one.get(), one.of(theirs)];
      if (mine === other || other === initial[one.name]) one.beside(null);
      else if (mine === initial[one.name]) { one.set(other); taken.push(one.label); }
      else one.beside(other, "The other version");
      initial[one.name] = other;
    }
    entry = theirs;
    tell(h("p", {}, h("b", {}, "It was changed meanwhile"), ", on ", h("bdi", {}, plain(theirs.device)), ` at ${clockTime(new Date(theirs.updated_at))}. What you typed is still here, what differs is shown beside it.`),
      taken.length ? h("p", {}, `Taken from the other version, as you hadn't changed it: ${taken.join(", ")}.`) : null,
      h("p", {}, "Save once more to keep what the fields now hold. Both versions stay in the lake."));
  }

  const onUnload = (event) => { if (isDirty()) event.preventDefault(); };
  window.addEventListener("beforeunload", onUnload);

  return {
    dialog,
    /** A new one, with what was typed already, or an entry to change. */
    open(now, { title = "", tags = [] } = {}) {
      clear();
      startFrom(now);
      files.load(now?.attachments ?? []);
      if (!now) { fields[0].set(title); fields[2].set(JSON.stringify(tags)); }
      dialog.showModal();
      fields[0].focus();
    },
    stop() { window.removeEventListener("beforeunload", onUnload); },
  };
}
