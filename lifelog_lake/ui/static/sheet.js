// Dialogs over a page: a sheet, and a question with two answers.

/** A dialog; `leave()` is asked for by Escape and may not close it. */
function sheet(name, label, leave) {
  return h("dialog", {
    class: `ll ll-sheet ll-sheet-${name}`, "aria-label": label,
    oncancel: (event) => { if (event.target !== event.currentTarget) return; event.preventDefault(); leave(); },
  });
}

/**
 * Ask; true for yes. No has the focus, and Escape is a no.
 * The second half of a double click on what has asked lies within the dialog, perhaps on its button: it counts for nothing.
 */
function sure({ title, text, yes, no }) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { class: "ll ll-sheet ll-sheet-sure", role: "alertdialog", "aria-label": title, onclose: () => { dialog.remove(); resolve(dialog.returnValue === "yes"); } },
      h("form", { method: "dialog" }, h("h2", {}, title), h("p", {}, ...text),
        h("div", { class: "ll-sheet-buttons" },
          h("button", { class: "ll-button", value: "no", autofocus: true }, no),
          h("button", { class: "ll-button ll-danger", value: "yes", onclick: (event) => { if (event.detail > 1) event.preventDefault(); } }, yes))));
    document.body.append(dialog);
    dialog.showModal();
  });
}
