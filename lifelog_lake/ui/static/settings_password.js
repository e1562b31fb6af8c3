// The password: typed once as it is, twice as it will be. Every login ends with it.

const LEAST_PASSWORD = 8;

function passwordCard() {
  const { line, say } = sayLine();
  const body = h("div", {});
  const card = settingsCard("password", "Password",
    "Who logs in has a shell on this machine: choose a long one that you use nowhere else.", body);

  function field(id, name, label, complete, about) {
    const input = h("input", { class: "ll-set-field", id, name, type: "password", autocomplete: complete, required: true, maxlength: 1000 });
    return { input, row: h("div", { class: "ll-set-row" }, h("label", { class: "ll-set-label", for: id }, label), input, about ? h("p", { class: "ll-set-about" }, about) : null) };
  }

  function show(login) {
    if (login === "settings") {
      body.replaceChildren(h("p", {}, "It is set by ", h("code", {}, "[server] password_hash"), " in the settings. Take it out of config.toml and the environment to change it here."));
      return;
    }
    const current = login === "password"
      ? field("ll-set-current", "current", "Current password", "current-password")
      : field("ll-set-current", "current", "Current token of the login", "current-password", "There is no password yet: it is the token in the address that lifelog up prints, and in the file token of the home.");
    const next = field("ll-set-next", "new", "New password", "new-password", `At least ${LEAST_PASSWORD} characters.`);
    const again = field("ll-set-again", "again", "New password, once more", "new-password");
    const inputs = [current.input, next.input, again.input];
    const seen = h("input", { type: "checkbox", onchange: () => { for (const input of inputs) input.type = seen.checked ? "text" : "password"; } });
    const change = h("button", { type: "submit", class: "ll-button ll-set-main" }, login === "password" ? "Change password" : "Set password");
    const form = h("form", { class: "ll-set-form", "aria-label": "Change the password", novalidate: true, onsubmit: async (event) => {
      event.preventDefault();
      const mistake = mistakeIn(...inputs);
      for (const input of inputs) input.removeAttribute("aria-invalid");
      if (mistake) {
        say("bad", mistake.text);
        mistake.input.setAttribute("aria-invalid", "true");
        mistake.input.focus();
        return;
      }
      change.disabled = true;
      say("", "Changing …");
      try {
        await send("auth/password", { current: current.input.value, new: next.input.value });
        for (const input of inputs) input.value = "";
        body.replaceChildren(h("p", { class: "ll-set-done", role: "status" }, h("b", {}, "The password is changed."), " Every login has ended, this one too. "),
          h("p", {}, h("a", { class: "ll-button ll-set-main", href: `${baseUrl()}login?next=${encodeURIComponent(location.pathname)}` }, "Log in again")));
        body.querySelector("a").focus();
      } catch (error) {
        say("bad", inWords(error));
        current.input.focus();
        current.input.select();
      } finally {
        change.disabled = false;
      }
    } },
    // For password managers: whose password it is.
    h("input", { type: "text", name: "username", autocomplete: "username", value: "lifelog", hidden: true }),
    current.row, next.row, again.row,
    h("label", { class: "ll-set-seen" }, seen, h("span", {}, "Show what I type")),
    h("p", { class: "ll-set-about" }, "Every login ends with it, in all browsers and this one too: log in again with the new password. Tokens of programs go on."),
    change, line);
    body.replaceChildren(form);
  }

  function mistakeIn(current, next, again) {
    if (!current.value) return { input: current, text: "Type what opens the login now, too." };
    if ([...next.value].length < LEAST_PASSWORD) return { input: next, text: `The new password needs at least ${LEAST_PASSWORD} characters.` };
    if (next.value === current.value) return { input: next, text: "The new password is the old one." };
    if (next.value !== again.value) return { input: again, text: "The two new passwords aren't the same." };
    return null;
  }
  return { card, show };
}
