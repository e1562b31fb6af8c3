// Quick add on the timeline: a live one shows by itself what is written. N goes there.

function render({ el }) {
  const quick = quickAdd({ added: () => {} });
  const onKey = (event) => {
    if (event.key.toLowerCase() !== "n" || !onPage() || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]") || event.target.closest?.("input:not([type=checkbox]), select, textarea, audio, [contenteditable]")) return;
    event.preventDefault();
    quick.focus();
  };
  el.append(h("div", { class: "ll ll-quick-row" }, quick.root));
  document.addEventListener("keydown", onKey);
  return () => document.removeEventListener("keydown", onKey);
}

export default { render };
