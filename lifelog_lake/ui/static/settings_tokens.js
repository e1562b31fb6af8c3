// Tokens of programs: made, rotated and revoked here. A new one is shown once and kept by nobody.

/** Secrets that are shown and not put away yet: they stay while another tab of the page is looked at. */
const unread = new Map();
// Who leaves the page altogether is asked.
window.addEventListener("beforeunload", (event) => { if (unread.size) event.preventDefault(); });

const SCOPE_WORDS = [
  ["read", "Read", "see everything: entries, files, what was recorded, exports"],
  ["write", "Write", "create, change, delete and attach"],
  ["ingest", "Ingest", "add alone; sees nothing: for phones and sensors"],
];

/** Put a text into the clipboard; false if the browser doesn't let us. */
async function copied(text, field) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch (error) {
      if (error.name !== "NotAllowedError") throw error; // refused by the person or the browser: the old way is left
    }
  }
  field.select(); // over plain http there is no clipboard API
  return document.execCommand("copy");
}

/** A new token, shown until it is put away. */
function secretPanel({ id, name, token }, replaced, done) {
  const field = h("input", { class: "ll-set-secret", type: "text", readonly: true, autocomplete: "off", spellcheck: "false", "aria-label": `Token ${plain(name)}`, onfocus: () => field.select() });
  field.value = token;
  const told = h("span", { class: "ll-set-copied", role: "status" });
  const copy = h("button", { type: "button", class: "ll-button ll-set-main", "data-do": "copy", onclick: async () => {
    told.textContent = (await copied(token, field)) ? "Copied." : "Select it and copy it yourself.";
    if (told.textContent !== "Copied.") field.select();
  } }, "Copy");
  const panel = h("div", { class: "ll-set-new", role: "group", "aria-label": "A new token", "data-token": id },
    h("p", {}, h("b", {}, "The token ", said(name), replaced ? " has a new secret." : " is made."),
      " It is shown this once: copy it now, and keep it where nobody else reads it.",
      replaced ? " The old one opens nothing any more." : ""),
    h("div", { class: "ll-set-secret-row" }, field, copy,
      h("button", { type: "button", class: "ll-button", "data-do": "done", onclick: () => { putAway(id); done(); } }, "Done")),
    told);
  unread.set(id, panel);
  return { panel, focus: () => copy.focus() };
}

function putAway(id) {
  unread.get(id)?.remove();
  unread.delete(id);
}

/** The card. `changed()` is called when something was done that the audit tells of. */
function tokensCard(changed) {
  const { line, say } = sayLine();
  const fresh = h("div", { class: "ll-set-fresh" }, ...unread.values());
  const list = h("div", {});
  const name = h("input", { class: "ll-set-field", id: "ll-set-name", type: "text", name: "token-name", required: true, maxlength: 60, autocomplete: "off", placeholder: "phone, backup, kitchen …" });
  const boxes = SCOPE_WORDS.map(([value]) => h("input", { type: "checkbox", value, checked: value === "read" }));
  const create = h("button", { type: "submit", class: "ll-button ll-set-main" }, "Create token");
  const form = h("form", { class: "ll-set-form", "aria-label": "A new token", novalidate: true, onsubmit: onCreate },
    h("label", { class: "ll-set-label", for: name.id }, "Name"), name,
    h("fieldset", { class: "ll-set-scopes" }, h("legend", {}, "It may"),
      ...SCOPE_WORDS.map(([, label, words], at) => h("label", {}, boxes[at], h("span", {}, h("b", {}, label), ` – ${words}`)))),
    create);
  const card = settingsCard("tokens", "Tokens",
    "What a program or a phone sends to use the API. It opens the API alone, never this page or the notebooks.",
    fresh, list, h("h3", {}, "New token"), form, line);

  function shown(made, replaced) {
    const { panel, focus } = secretPanel(made, replaced, () => create.focus());
    fresh.append(panel);
    panel.scrollIntoView({ block: "nearest" });
    focus();
  }

  async function onCreate(event) {
    event.preventDefault();
    const scopes = boxes.filter((box) => box.checked).map((box) => box.value);
    if (!name.value.trim()) return wrong("Give it a name, so that you know later what it is for.", name);
    if (!scopes.length) return wrong("Choose what it may do.", boxes[0]);
    create.disabled = true;
    say("", "");
    try {
      const made = await send("auth/tokens", { name: name.value.trim(), scopes });
      form.reset();
      shown(made, false);
      await load();
      changed();
    } catch (error) {
      say("bad", inWords(error));
      name.focus();
    } finally {
      create.disabled = false;
    }
  }

  function wrong(text, control) {
    say("bad", text);
    control.focus();
  }

  async function end(token, button) {
    const title = `Revoke ${plain(token.name)}?`;
    const text = `Programs that use it are refused at once, and it can't be brought back.${token.given ? " It comes from the environment; there it is ignored from now on." : ""}`;
    if (await sure({ title, text: [text], yes: "Revoke", no: "Cancel" })) {
      await act(button, async () => {
        await send(`auth/tokens/${encodeURIComponent(token.id)}`, undefined, { method: "DELETE" });
        putAway(token.id);
        return `${plain(token.name)} is revoked.`;
      });
    } else button.focus();
  }

  async function turn(token, button) {
    const title = `Rotate ${plain(token.name)}?`;
    const text = "It gets a new secret, which is shown once. Programs with the old one are refused at once, until you give them the new one.";
    if (await sure({ title, text: [text], yes: "Rotate", no: "Cancel" })) {
      await act(button, async () => {
        const made = await send("auth/token/rotate", { id: token.id });
        putAway(token.id);
        shown(made, true);
        return "";
      });
    } else button.focus();
  }

  async function act(button, call) {
    button.disabled = true;
    say("", "");
    try {
      say("well", await call());
    } catch (error) {
      say("bad", inWords(error));
    }
    await load();
    changed();
  }

  function row(token) {
    const button = (what, label, call) => h("button", {
      type: "button", class: "ll-button", "data-do": what, "aria-label": `${label} ${plain(token.name)}`, onclick: (event) => call(token, event.currentTarget),
    }, label);
    return h("tr", { "data-token": token.id },
      h("th", { scope: "row" }, said(token.name), token.given ? h("span", { class: "ll-set-badge" }, "environment") : null),
      h("td", { "data-label": "May" }, token.scopes.join(", ")),
      h("td", { "data-label": "Created" }, when(token.created_at, shortDay(new Date(token.created_at)))),
      h("td", { "data-label": "Last used" }, token.last_used_at ? when(token.last_used_at, ago(token.last_used_at, Date.now())) : "never"),
      h("td", { class: "ll-set-do" }, button("rotate", "Rotate", turn), button("revoke", "Revoke", end)));
  }

  function show(tokens) {
    const held = document.activeElement?.closest?.("[data-token]");
    const what = held && list.contains(held) ? document.activeElement.dataset.do : null;
    list.replaceChildren(tokens.length
      ? h("table", { class: "ll-set-table ll-set-tokens" },
        h("thead", {}, h("tr", {}, ...["Name", "May", "Created", "Last used", ""].map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, ...tokens.map(row)))
      : h("p", { class: "ll-set-about" }, "There is no token: no program can use the API."));
    if (what) list.querySelector(`[data-token="${CSS.escape(held.dataset.token)}"] [data-do="${what}"]`)?.focus({ preventScroll: true });
  }

  async function load() {
    const { tokens } = await ask("auth/tokens");
    show(tokens);
  }
  return { card, load };
}
