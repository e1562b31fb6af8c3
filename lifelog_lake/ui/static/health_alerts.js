// Alerts: what is wrong, what to do about it, and the person's answers.

const SNOOZES = [["3600", "1 hour"], ["14400", "4 hours"], ["86400", "1 day"], ["604800", "1 week"]];
/** More than so many open ones are folded, the worst stay: below them are the devices. */
const MOST_SHOWN = 20;
const SEVERITY_NAMES = { critical: "Critical", warning: "Warning", info: "Note" };

/** What an alert is about: "Screen of laptop". */
function about({ device, stream, subject }) {
  const what = stream || subject;
  return [LABELS[what] ?? what, device].filter(Boolean).map(plain).join(" · ");
}

/** One card. `act(body)` sends an answer; it is refused by throwing. */
function alertCard(alert, now, act) {
  const note = h("p", { class: "ll-alert-note", role: "status" });
  const card = h("article", { class: "ll-alert", "data-severity": alert.severity, "data-state": alert.state, "data-key": alert.key });
  const controls = [];
  async function answer(body) {
    for (const control of controls) control.disabled = true;
    note.textContent = "";
    try {
      await act({ key: alert.key, ...body });
    } catch (error) {
      note.textContent = `${error.message} ${error.hint ?? ""}`;
      for (const control of controls) control.disabled = false;
    }
  }
  if (alert.state !== "resolved") {
    if (alert.state !== "acknowledged") {
      controls.push(h("button", { type: "button", class: "ll-button", "data-do": "acknowledge", onclick: () => answer({ do: "acknowledge" }) }, "Acknowledge"));
    }
    // A button beside it: with the keyboard each step through a list is a change.
    const spans = h("select", { class: "ll-button", "data-do": "span", "aria-label": "For how long" },
      ...SNOOZES.map(([value, text]) => h("option", { value }, `for ${text}`)));
    controls.push(h("button", { type: "button", class: "ll-button", "data-do": "snooze", onclick: () => answer({ do: "snooze", seconds: Number(spans.value) }) }, "Snooze"), spans);
  }
  const badge = alert.state === "acknowledged" ? "Acknowledged"
    : alert.state === "snoozed" ? `Snoozed until ${alert.until ? `${shortDay(new Date(alert.until))}, ${shortTime(new Date(alert.until))}` : "later"}`
      : alert.state === "resolved" ? "Resolved" : null;
  const place = about(alert);
  card.append(...[
    h("div", { class: "ll-alert-head" },
      h("span", { class: "ll-severity" }, SEVERITY_NAMES[alert.severity] ?? plain(alert.severity)),
      place ? h("span", { class: "ll-alert-about" }, h("bdi", {}, place)) : null,
      badge ? h("span", { class: "ll-badge" }, badge) : null,
      h("span", { class: "ll-alert-since" }, ...(alert.state === "resolved"
        ? ["resolved ", when(alert.changed_at, ago(alert.changed_at, now))]
        : ["for ", when(alert.since ?? alert.opened_at, roughly(Math.max(0, now - Date.parse(alert.since ?? alert.opened_at))))]))),
    h("p", { class: "ll-alert-says" }, said(alert.says)),
    alert.hint ? h("p", { class: "ll-alert-hint" }, h("b", {}, "What to do: "), said(alert.hint)) : null,
    controls.length ? h("div", { class: "ll-alert-controls" }, ...controls) : null,
    note,
  ].filter(Boolean));
  return card;
}

/** The section: those that ask for something first, then those that were answered, then the past. */
function alertsSection(alerts, now, act) {
  const rank = ({ state, severity }) => (state === "open" ? 0 : 10) + SEVERITIES.indexOf(severity);
  const open = alerts.filter(({ state }) => state !== "resolved").sort((a, b) => rank(a) - rank(b));
  const past = alerts.filter(({ state }) => state === "resolved");
  const folded = (name, several, text) => several.length ? h("details", { class: "ll-folded", "data-fold": name },
    h("summary", {}, text), ...several.map((alert) => alertCard(alert, now, act))) : null;
  const more = open.slice(MOST_SHOWN);
  return [
    ...open.slice(0, MOST_SHOWN).map((alert) => alertCard(alert, now, act)),
    folded("more", more, plural(more.length, "more alert")),
    folded("past", past, `${plural(past.length, "alert")} resolved in the last week`),
  ].filter(Boolean);
}
