// The export: links that the browser downloads by itself, so that nothing is kept in the page.

const EXPORTS = [["zip", "Zip, with all files"], ["json", "JSON"], ["jsonl", "JSON Lines"]];

function exportMenu() {
  const history = h("input", { type: "checkbox", onchange: () => links.replaceChildren(...drawn()) });
  const links = h("span", { class: "ll-menu-links" });
  const drawn = () => EXPORTS.map(([format, label]) => h("a", {
    class: "ll-button", download: true,
    href: `${baseUrl()}lifelog/api/export?${new URLSearchParams({ format, history: history.checked })}`,
    onclick: () => { menu.open = false; },
  }, label));
  links.replaceChildren(...drawn());
  const menu = h("details", {
    class: "ll-menu",
    onkeydown: (event) => { if (event.key === "Escape" && menu.open) { menu.open = false; menu.firstChild.focus(); event.stopPropagation(); } },
    onfocusout: (event) => { if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false; },
  },
  h("summary", { class: "ll-button" }, "Export"),
  h("div", { class: "ll-menu-body" }, links, h("label", {}, history, " with earlier versions")));
  return menu;
}
