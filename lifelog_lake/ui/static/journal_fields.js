// The fields of the form. `get` and `set` are of what a field holds, as text to compare by; `of` is the
// same of an entry; `value` is what is sent (it may throw), `show` what a person reads of another version.

/** A time as a date field has it, in the browser's zone. */
function localInput(at) {
  const two = (number) => String(number).padStart(2, "0");
  const day = [String(at.getFullYear()).padStart(4, "0"), two(at.getMonth() + 1), two(at.getDate())].join("-");
  const seconds = at.getSeconds() ? `:${two(at.getSeconds())}` : ""; // a field leaves out what is zero
  return `${day}T${two(at.getHours())}:${two(at.getMinutes())}${seconds}`;
}

/** What all fields share: a label, a hint, a place for what is wrong, one for another version. */
function field(name, label, control, { hint = "", get = () => control.value, set = (text) => { control.value = text; }, read = (text) => text, value, show = (text) => text, wrap = control }) {
  const id = `ll-field-${name}`;
  const error = h("p", { class: "ll-field-error", id: `${id}-error`, role: "alert" });
  const other = h("div", { class: "ll-field-other", hidden: true });
  control.id = id;
  control.setAttribute("aria-describedby", `${id}-hint ${id}-error`);
  const root = h("div", { class: "ll-field", "data-field": name },
    h("label", { for: id }, label), wrap, h("p", { class: "ll-field-hint", id: `${id}-hint` }, hint), error, other);
  const one = {
    name, label, root, get, set, show, value,
    /** An entry's value, as text to compare by. */
    of: (entry) => (entry ? read(entry[name]) : ""),
    focus: () => control.focus(),
    tell(text) {
      error.textContent = text;
      if (text) control.setAttribute("aria-invalid", "true");
      else control.removeAttribute("aria-invalid");
    },
    /** Show another version beside what is in the field; taking it swaps them. */
    beside(text, whose) {
      other.hidden = text === null;
      if (text === null) return;
      other.replaceChildren(h("b", {}, whose), h("pre", {}, h("bdi", {}, show(text) || "(empty)")),
        h("button", {
          type: "button", class: "ll-button", "aria-label": `${label}: take this one`,
          onclick: () => { const mine = get(); set(text); one.beside(mine, "What was in the field"); control.focus(); },
        }, "Take this one"));
    },
  };
  control.addEventListener("input", () => one.tell(""));
  return one;
}

/** Tags as chips; Enter or a comma makes one, Backspace takes the last one back into the box. */
function tagsField() {
  let tags = [];
  const chips = h("span", { class: "ll-chosen-tags" });
  const box = h("input", {
    autocomplete: "off", autocapitalize: "none",
    onkeydown: (event) => {
      if (event.key === "Enter" && box.value.trim()) { event.preventDefault(); take(); }
      else if (event.key === "Backspace" && !box.value && tags.length) { event.preventDefault(); box.value = tags.at(-1); chips.lastChild.remove(); tags.pop(); }
    },
    oninput: () => { if (box.value.includes(",")) take(); },
    onblur: () => take(), // a chip that is being clicked stays where it is
  });
  function take() {
    const fresh = tagsOf(box.value).filter((tag) => !tags.includes(tag));
    tags = [...tags, ...fresh];
    box.value = "";
    chips.append(...fresh.map(chip));
  }
  function chip(tag) {
    const shown = h("button", {
      type: "button", class: "ll-tag", "aria-label": `Remove the tag ${line(tag)}`,
      onclick: () => { tags = tags.filter((one) => one !== tag); shown.remove(); box.focus(); },
    }, h("bdi", {}, `#${line(tag)}`), " ✕");
    return shown;
  }
  return field("tags", "Tags", box, {
    hint: "Enter or a comma ends one.", wrap: h("div", { class: "ll-tags-box", onclick: (event) => { if (event.target === event.currentTarget) box.focus(); } }, chips, box),
    get: () => { if (box.value.trim()) take(); return JSON.stringify(tags); },
    set: (text) => { tags = JSON.parse(text || "[]"); box.value = ""; chips.replaceChildren(...tags.map(chip)); },
    read: (value) => JSON.stringify(value),
    value: (text) => JSON.parse(text || "[]"),
    show: (text) => JSON.parse(text || "[]").map((tag) => `#${line(tag)}`).join(" "),
  });
}

/** JSON with its digits as they were typed; what is thrown is for beside the field. */
function metadataOf(text) {
  if (!text.trim()) return {};
  if (!JSON.rawJSON && /\d{16}/.test(text)) throw { message: "This browser would round so long a number. A newer one doesn't.", field: "metadata" };
  let value;
  try {
    value = JSON.parse(text, (name, one, context) => (typeof one === "number" && context?.source !== undefined && JSON.rawJSON ? JSON.rawJSON(context.source) : one));
  } catch (error) {
    throw { message: `It isn't JSON: ${error.message}`, field: "metadata" };
  }
  if (value === null || typeof value !== "object" || Array.isArray(value) || JSON.isRawJSON?.(value)) {
    throw { message: "Give an object: {\"price\": 12.5}", field: "metadata" };
  }
  return value;
}

function entryFields() {
  const at = h("input", { type: "datetime-local", step: 1, min: "1900-01-01T00:00:00", max: "2199-12-31T23:59:59" });
  return [
    field("title", "Title", h("input", { autocomplete: "off" }), { read: oneLine, value: (text) => text }),
    field("description", "Description", h("textarea", { rows: 5 }), { read: (text) => text.replace(/\r\n?/g, "\n"), value: (text) => text }),
    tagsField(),
    field("at", "When", at, {
      hint: `In ${ZONE.replaceAll("_", " ")}; empty: now.`,
      read: (value) => localInput(new Date(value)),
      value: (text) => {
        if (at.validity.badInput) throw { message: "It isn't a whole date with a time.", field: "at" };
        return text ? new Date(text).toISOString() : new Date().toISOString();
      },
      show: (text) => (text ? longTime(new Date(text)) : ""),
    }),
    field("metadata", "Metadata", h("textarea", { rows: 3, spellcheck: "false", class: "ll-code", placeholder: "{\"price\": 12.5}" }), {
      hint: "A JSON object of your own.",
      read: (value) => (Object.keys(value).length ? JSON.stringify(value, null, 2) : ""), value: metadataOf,
    }),
  ];
}

/** What an input of one line makes of a text. */
function oneLine(text) {
  return text.replace(/[\r\n]+/g, "");
}
