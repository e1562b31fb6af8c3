// The header: name, tabs, what is recorded, the way to the notebooks and out.

const STATUS_EVERY_MS = 10000;
const MOST_UNANSWERED = 3;

function pageOfAddress(pages) {
  const match = location.pathname.match(/\/lifelog\/([a-z]+)$/);
  return match && pages.some((page) => page.name === match[1]) ? match[1] : null;
}

function render({ model, el }) {
  document.getElementById("ll-waiting")?.remove();
  const pages = model.get("pages");
  const addressed = pageOfAddress(pages) !== null;
  const root = h("header", { class: "ll ll-shell" });

  const tabs = h("nav", { class: "ll-tabs", "aria-label": "Pages" });
  function go(name, remember) {
    if (model.get("page") !== name) {
      model.set("page", name);
      model.save_changes();
    }
    if (remember && addressed) history.pushState(null, "", `${baseUrl()}lifelog/${name}`);
    showTabs();
  }
  function showTabs() {
    tabs.replaceChildren(...pages.map(({ name, label }) =>
      h("a", {
        class: "ll-tab",
        href: `${baseUrl()}lifelog/${name}`,
        "aria-current": name === model.get("page") ? "page" : null,
        onclick: (event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          go(name, true);
        },
      }, label)));
  }
  const onBack = () => go(pageOfAddress(pages) ?? pages[0].name, false);
  window.addEventListener("popstate", onBack);

  const status = h("div", { class: "ll-status", role: "status" });
  const toFlows = h("a", { href: `${baseUrl()}lifelog/flows/`, hidden: true }, "Flows");
  let unanswered = 0;
  let said = "";
  function showStatus() {
    const { state, summary, detail, lake, microphone, flows } = unanswered > MOST_UNANSWERED
      ? { state: "off", summary: "Not connected", detail: "Load the page again." }
      : model.get("status");
    toFlows.hidden = !flows;
    const now = JSON.stringify([state, summary, detail, lake, microphone]);
    if (now === said) return; // a screen reader would read it out each ten seconds
    said = now;
    status.replaceChildren(...(summary ? [
      h("span", { class: "ll-dot", "data-state": state, "aria-hidden": "true" }),
      h("span", { class: "ll-summary", title: plain(detail) || null }, h("bdi", {}, plain(summary))),
      microphone ? h("span", { class: "ll-microphone" }, "● microphone live") : null,
      lake ? h("span", { class: "ll-lake", title: `The lake: ${plain(lake)}` }, h("bdi", {}, plain(lake))) : null,
    ].filter(Boolean) : []));
  }
  function onStatus() {
    unanswered = 0;
    showStatus();
  }
  function askStatus() {
    unanswered += 1;
    showStatus();
    model.send({ ask: "status" });
  }
  model.on("change:status", onStatus);
  const timer = setInterval(askStatus, STATUS_EVERY_MS);

  const demo = h("span", { class: "ll-demo", hidden: true, title: "Made up by lifelog demo: nothing here happened." }, "Demo data");
  // Without an answer the page says elsewhere what is wrong.
  ask("lake").then((answer) => { demo.hidden = answer.demo === null; }, () => {});

  root.append(
    h("div", { class: "ll-brand" }, "Lifelog"), demo,
    tabs,
    status,
    h("div", { class: "ll-links" },
      toFlows,
      h("a", { href: `${baseUrl()}lab` }, "Notebooks"),
      h("a", { href: `${baseUrl()}logout` }, "Log out")),
  );
  el.append(root);
  askStatus();
  const first = pageOfAddress(pages);
  if (first) go(first, false);
  else showTabs();

  return () => {
    clearInterval(timer);
    window.removeEventListener("popstate", onBack);
    model.off("change:status", onStatus);
  };
}

export default { render };
