// Below the lanes: frames, activity or sound of the span, a moment large, and the player.

function render({ model, el }) {
  const view = () => model.get("view");
  const painted = () => {
    if (!model.get("painted")) { model.set("painted", true); model.save_changes(); }
  };
  const player = soundPlayer(model, () => lists.sound.renew());
  const dialog = momentDialog(model, player, (index) => { if (tab === "frames") lists.frames.focus(index); });
  const lists = {
    frames: list(model, framesKind((index) => dialog.showFrame(lists.frames.pages(), index)), painted),
    activity: list(model, activityKind(model), painted),
    sound: list(model, soundKind(player), painted),
  };
  let tab = null;

  const tabs = TABS.map(([name, label]) => h("button", { type: "button", "data-tab": name, onclick: () => change(model, { tab: name }) }, label));
  const body = h("div", { class: "ll-views-body" });
  const count = h("div", { class: "ll-count", role: "status" });
  const zone = h("span", { class: "ll-zone" });
  const root = h("div", { class: "ll ll-views" },
    h("div", { class: "ll-views-head" },
      h("div", { class: "ll-ranges ll-views-tabs", role: "group", "aria-label": "What is listed" }, ...tabs), count, zone),
    body, dialog.dialog, player.root);
  el.append(root);

  function follow() {
    const now = view();
    if (!now.start) return;
    const away = offset(now.start);
    zone.textContent = /^(Etc\/)?(UTC|UCT|Universal|Zulu)$/.test(ZONE) ? "Times in UTC" : `Times in ${ZONE.replaceAll("_", " ")}, ${away}`;
    if (now.tab !== tab) {
      tab = now.tab;
      body.replaceChildren(lists[tab].root);
      count.replaceChildren(lists[tab].count);
      for (const one of tabs) one.setAttribute("aria-pressed", String(one.dataset.tab === tab));
      lists[tab].draw();
    }
    dialog.follow();
    lists[tab].follow();
  }

  let frameAsked = 0;
  function onMove() {
    cancelAnimationFrame(frameAsked);
    frameAsked = requestAnimationFrame(() => { if (tab) lists[tab].draw(); });
  }
  const onKey = (event) => {
    if (event.key.toLowerCase() !== "p" || event.ctrlKey || event.metaKey || event.altKey || !player.isOpen() || dialog.dialog.open || event.target.closest?.("input:not([type=checkbox]), select, textarea, audio")) return;
    event.preventDefault();
    player.toggle();
  };
  const onColours = () => lists.activity.renew();
  model.on("change:view", follow);
  model.on("change:colours", onColours);
  document.addEventListener("keydown", onKey);
  document.addEventListener("scroll", onMove, { capture: true, passive: true });
  const sized = new ResizeObserver(onMove);
  sized.observe(root);
  follow();
  return () => {
    model.off("change:view", follow);
    model.off("change:colours", onColours);
    document.removeEventListener("keydown", onKey);
    document.removeEventListener("scroll", onMove, { capture: true });
    sized.disconnect();
    player.close();
    for (const one of Object.values(lists)) one.stop();
  };
}

export default { render };
