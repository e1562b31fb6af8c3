// The settings page: what the API says of the hub itself, and what only a person may change.

const FIRST_LINES = 10;
const MOST_LINES = 500;
const AGAIN_MS = 5000;

function render({ el }) {
  const { line, say } = sayLine();
  const again = h("p", {});
  const root = h("div", { class: "ll ll-settings" });
  const tokens = tokensCard(() => load(loadAudit));
  const password = passwordCard();
  const limits = h("div", { class: "ll-set-body" }, "…");
  const lake = h("div", { class: "ll-set-body" }, "Looking …");
  const look = h("button", { type: "button", class: "ll-button", "data-do": "look", onclick: () => load(loadLake) }, "Look again");
  const audit = h("div", { class: "ll-set-body" }, "…");
  const more = h("button", { type: "button", class: "ll-button", "data-do": "more", hidden: true, onclick: () => { lines = MOST_LINES; load(loadAudit); } }, "Show more");
  let lines = FIRST_LINES;
  let loginShown = null;
  let timer = 0;

  root.append(h("div", { class: "ll-set-top" }, line, again),
    tokens.card, password.card,
    settingsCard("lake", "Lake", "Where everything is kept.", lake, h("div", {}, look)),
    settingsCard("limits", "Files", "What may be attached to an entry.", limits),
    settingsCard("audit", "Who did what", "The newest lines of the audit: ids, counts and names of tokens, never content.", audit, h("div", {}, more)));
  el.append(root);

  async function loadSettings() {
    const found = await ask("settings");
    limits.replaceChildren(...limitsList(found));
    if (found.login !== loginShown) password.show(loginShown = found.login); // what was typed stays
  }

  async function loadLake() {
    const held = document.activeElement === look;
    look.disabled = true;
    try {
      lake.replaceChildren(...lakeFacts(await ask("settings/lake")));
    } finally {
      look.disabled = false;
      if (held) look.focus({ preventScroll: true });
    }
  }

  async function loadAudit() {
    const found = (await ask("audit", { limit: Math.min(lines + 1, MOST_LINES) })).lines;
    audit.replaceChildren(auditTable(found.slice(0, lines)));
    more.hidden = found.length <= lines;
  }

  /** Run what loads a part; whatever is wrong is told at the top, once. */
  async function load(...parts) {
    try {
      for (const part of parts) await part();
      say("", "");
      again.replaceChildren();
    } catch (error) {
      say("bad", inWords(error));
      clearTimeout(timer);
      if (error.again) timer = setTimeout(loadAll, AGAIN_MS);
      again.replaceChildren(error.login
        ? h("a", { href: `${baseUrl()}login?next=${encodeURIComponent(location.pathname)}` }, "Log in")
        : h("button", { type: "button", class: "ll-button", onclick: loadAll }, "Try again"));
    }
  }

  function loadAll() {
    load(tokens.load, loadSettings, loadAudit);
    load(loadLake);
  }

  function onShown() {
    // A command may have changed them meanwhile.
    if (!document.hidden) load(tokens.load, loadSettings, loadAudit);
  }
  document.addEventListener("visibilitychange", onShown);
  loadAll();
  return () => {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", onShown);
  };
}

export default { render };
