// Quick add: a title, tags, Enter.

let quickForms = 0;

/** `added(entry)` hears of each one; `more(title, tags)` opens the whole form, if there is one. */
function quickAdd({ added, more }) {
  const once = onceKeys();
  const number = (quickForms += 1);
  let busy = false;
  const said = h("p", { class: "ll-quick-said", id: `ll-quick-said-${number}`, role: "status" });
  const title = h("input", {
    class: "ll-quick-title", name: "title", placeholder: "What happened?", "aria-label": "New entry",
    autocomplete: "off", "aria-describedby": said.id, oninput: () => title.removeAttribute("aria-invalid"),
  });
  const tags = h("input", {
    class: "ll-quick-tags", name: "tags", placeholder: "tags, with commas", "aria-label": "Its tags",
    autocomplete: "off", autocapitalize: "none", "aria-describedby": said.id, oninput: () => tags.removeAttribute("aria-invalid"),
  });
  const root = h("form", { class: "ll-quick", "aria-label": "Quick add", novalidate: true, onsubmit: (event) => { event.preventDefault(); add(); } },
    h("span", { class: "ll-quick-fields" }, title, tags),
    h("button", { class: "ll-button ll-main" }, "Add"),
    more ? h("button", { type: "button", class: "ll-button", onclick: () => { more(title.value, tagsOf(tags.value)); } }, "More …") : null,
    said);

  function tell(tone, ...children) {
    said.dataset.tone = tone;
    said.replaceChildren(...children);
  }

  async function add() {
    if (busy) return;
    busy = true;
    const [typedTitle, typedTags] = [title.value, tags.value];
    try {
      const entry = await createEntry({ title: typedTitle.trim(), tags: tagsOf(typedTags) }, once);
      // What was typed while it was sent stays.
      if (title.value === typedTitle) title.value = "";
      if (tags.value === typedTags) tags.value = "";
      tell("", "Kept: ", h("a", { href: entryUrl(entry.id) }, h("bdi", {}, line(entry.title))));
      title.focus();
      added(entry);
    } catch (error) {
      if (!error.message) throw error;
      const field = error.field?.startsWith("tags") ? tags : error.field === "title" ? title : null;
      field?.setAttribute("aria-invalid", "true");
      field?.focus();
      tell("bad", refusal(error), ...(error.login ? [" ", logInAside(), " and add it again."] : []));
    } finally {
      busy = false;
    }
  }

  return {
    root,
    focus: () => title.focus(),
    clear() { title.value = tags.value = ""; tell(""); },
  };
}
