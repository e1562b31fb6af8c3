// The health page: asks the API now and then, and shows what it says.

const EVERY_MS = 20000;
const LEGEND = [["running", "Running"], ["stale", "Sees nothing"], ["error", "In trouble"], ["paused", "Paused"], ["suspended", "Asleep"], ["off", "Off"]];

function render({ el }) {
  let timer = 0;
  let stop = new AbortController();
  let gone = false;

  const tone = dot("idle");
  const title = h("h2");
  const hint = h("p");
  const looked = h("p", { class: "ll-looked" });
  // Only what is within the status is read out, when it changes: the time of each look is beside it.
  const verdict = h("div", { class: "ll-verdict" }, tone,
    h("div", { class: "ll-health-said" }, h("div", { role: "status" }, title, hint), looked));
  const tested = h("p", { class: "ll-tested", role: "status" });
  const test = h("button", { type: "button", class: "ll-button", "data-do": "test", onclick: sendTest }, "Send a test message");
  const alerts = h("section", { class: "ll-alerts", "aria-label": "Alerts" });
  const troubles = h("section", { class: "ll-troubles", "aria-label": "What couldn't be read" });
  const devices = h("section", { class: "ll-devices", "aria-label": "Devices" });
  const rest = h("div", { class: "ll-health-rest" });
  const root = h("div", { class: "ll ll-health" },
    h("div", { class: "ll-health-head" }, verdict, test), tested, alerts, troubles, devices, rest);
  el.append(root);

  function say(how, text, ...more) {
    tone.dataset.tone = how;
    looked.replaceChildren();
    if (title.textContent !== text) title.textContent = text;
    const news = h("p", {}, ...more);
    if (hint.textContent !== news.textContent) hint.replaceChildren(...news.childNodes);
  }

  function show(fleet) {
    const now = Date.parse(fleet.at);
    const open = fleet.alerts.filter(({ state }) => state === "open");
    const worst = SEVERITIES.find((severity) => open.some((alert) => alert.severity === severity));
    if (open.length) say(worst === "critical" ? "bad" : "warn", `${plural(open.length, "open alert")}`);
    else if (fleet.devices.length) say("well", "All is well");
    else say("idle", "No device has told of itself yet.", "Start recording with ", h("code", {}, "lifelog up"), ". Its first report comes within two minutes.");
    if (fleet.devices.length) looked.replaceChildren(plural(fleet.devices.length, "device"), ", looked at ", when(fleet.at, clockTime(new Date(fleet.at))));
    keepOpen(alerts, alertsSection(fleet.alerts, now, act));
    troubles.replaceChildren(...fleet.troubles.map((trouble) => h("p", { class: "ll-trouble" }, said(trouble))));
    devices.replaceChildren(...byTrouble(fleet).map((device) => deviceCard(device, fleet, now)), ...(fleet.devices.length ? [legend()] : []));
    rest.replaceChildren(...[fleet.flows ? flowsCard(fleet.flows, now) : null, storageCard(fleet.storage, fleet.verified, now)].filter(Boolean));
  }

  /** Nobody's menu closes, nothing folds up and no focus is lost because there is news. */
  function keepOpen(section, cards) {
    const held = section.contains(document.activeElement) ? document.activeElement : null;
    if (held?.matches("select")) return;
    const unfolded = [...section.querySelectorAll("details[open]")].map(({ dataset }) => dataset.fold);
    section.replaceChildren(...cards);
    for (const details of section.querySelectorAll("details")) details.open = unfolded.includes(details.dataset.fold);
    if (!held) return;
    const key = held.closest(".ll-alert")?.dataset.key;
    const card = [...section.querySelectorAll(".ll-alert")].find(({ dataset }) => dataset.key === key);
    const fold = held.closest("details")?.dataset.fold;
    const again = key === undefined ? section.querySelector(`[data-fold="${fold}"] > summary`) : card?.querySelector(`[data-do="${held.dataset.do}"]`);
    again?.focus({ preventScroll: true });
  }

  function legend() {
    return h("p", { class: "ll-strip-legend" }, "The last 24 hours:", ...LEGEND.map(([state, text]) =>
      h("span", {}, h("span", { class: "ll-swatch", "data-state": state, "data-tone": toneOf(state) }), text)));
  }

  async function act(body) {
    await send("alerts", body);
    document.activeElement?.blur();
    await load();
  }

  async function sendTest() {
    test.disabled = true;
    tested.textContent = "Sending …";
    tested.dataset.tone = "";
    try {
      const { sent, failed } = await send("alerts", { do: "test" });
      tested.dataset.tone = failed.length ? "bad" : sent ? "well" : "warn";
      tested.textContent = [
        sent ? `Sent to ${plural(sent, "address", "addresses")}.` : "",
        !sent && !failed.length ? "There is no address yet: set [alerts] notify in config.toml." : "",
        ...failed.map(plain),
      ].filter(Boolean).join(" ");
    } catch (error) {
      tested.dataset.tone = "bad";
      tested.textContent = `${plain(error.message)} ${plain(error.hint)}`;
    } finally {
      test.disabled = false;
    }
  }

  async function load() {
    clearTimeout(timer);
    stop.abort();
    const mine = (stop = new AbortController());
    try {
      const fleet = await ask("health", {}, mine.signal);
      if (mine === stop) show(fleet);
    } catch (error) {
      if (error.name === "AbortError" || mine !== stop) return;
      if (!error.message || !("hint" in error)) throw error;
      say("bad", plain(error.message), plain(error.hint), " ", error.login
        ? h("a", { href: `${baseUrl()}login?next=${encodeURIComponent(location.pathname)}` }, "Log in")
        : h("button", { type: "button", class: "ll-button", onclick: load }, "Try again"));
    }
    if (!gone && mine === stop) timer = setTimeout(next, EVERY_MS);
  }

  function next() {
    // A tab that nobody looks at asks for nothing; it does when it comes back.
    if (!document.hidden) load();
  }
  document.addEventListener("visibilitychange", next);
  say("idle", "Looking …", "");
  load();
  return () => {
    gone = true;
    clearTimeout(timer);
    stop.abort();
    document.removeEventListener("visibilitychange", next);
  };
}

export default { render };
