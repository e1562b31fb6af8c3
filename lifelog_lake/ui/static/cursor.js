// What lies over the lanes: the moment under the pointer, the chosen moment, now. A click chooses.

const STILL_PX = 5;
const NOW_EVERY_MS = 30000;
const MOST_TRIES = 20;

function render({ model, el }) {
  const hover = h("div", { class: "ll-cursor ll-cursor-hover", hidden: true }, h("span", {}));
  const chosen = h("div", { class: "ll-cursor ll-cursor-chosen", hidden: true }, h("span", {}));
  const now = h("div", { class: "ll-cursor ll-cursor-now", hidden: true });
  const root = h("div", { class: "ll ll-cursors", "aria-hidden": "true" }, now, chosen, hover);
  el.append(root);
  const lanes = () => root.closest(".ll-lanes");
  const plot = () => lanes()?.querySelector(".ll-lane svg .background")?.getBoundingClientRect();

  function timeAt(x, box) {
    const { start, end } = model.get("view");
    return Math.round(start + ((x - box.left) / box.width) * (end - start));
  }

  function put(line, at, label) {
    const box = plot();
    const { start, end } = model.get("view");
    line.hidden = !box?.width || !(at >= start && at < end);
    if (line.hidden) return;
    const from = root.getBoundingClientRect();
    line.style.left = `${box.left - from.left + ((at - start) / (end - start)) * box.width}px`;
    line.style.top = `${box.top - from.top}px`;
    line.style.height = `${box.height}px`;
    if (label) line.firstChild.textContent = label(at);
  }

  /** A chart that was made before it had a place has no width; it looks again when told to. */
  function fit() {
    const chart = lanes()?.querySelector(".ll-lane svg");
    const room = lanes()?.querySelector(".ll-lane")?.clientWidth ?? 0;
    if (!chart || room < 200 || chart.getBoundingClientRect().width > room / 2) { tries = 0; return; }
    tries += 1;
    if (tries <= MOST_TRIES) setTimeout(() => { window.dispatchEvent(new Event("resize")); requestAnimationFrame(draw); }, 50 * tries);
  }

  let tries = 0;
  function draw() {
    fit();
    hover.hidden = true;
    const view = model.get("view");
    put(chosen, view.moment || -1, clockTime);
    put(now, Date.now());
  }

  let down = null;
  let brushed = null;
  const inPlot = (event) => {
    const box = event.target.closest?.(".ll-lane") && lanes()?.contains(event.target) ? plot() : null;
    // A chart that isn't laid out yet has no width, and no time under a click.
    return box?.width && event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom ? box : null;
  };
  const onMove = (event) => {
    const box = event.pointerType === "mouse" ? inPlot(event) : null;
    if (box) put(hover, timeAt(event.clientX, box), clockTime);
    else hover.hidden = true;
  };
  const onDown = (event) => { down = inPlot(event) ? { x: event.clientX, y: event.clientY } : null; };
  const onUp = (event) => {
    const began = down;
    down = null;
    if (brushed) { zoom(); return; }
    const box = began && inPlot(event);
    if (!box || Math.hypot(event.clientX - began.x, event.clientY - began.y) > STILL_PX) return;
    change(model, { moment: timeAt(event.clientX, box), open: true });
  };
  const onCancel = () => { down = null; };

  /** A brush is done when the pointer is up: one that pauses on its way is still drawing. */
  function onBrush() {
    brushed = model.get("brushed");
    if (!down) zoom();
  }
  function zoom() {
    const [start, end] = brushed ?? [];
    brushed = null;
    if (end > start) change(model, { range: "zoom", start, end: Math.max(end, start + SHORTEST_MS), live: false });
  }

  document.addEventListener("pointermove", onMove, { passive: true });
  document.addEventListener("pointerdown", onDown, true);
  document.addEventListener("pointerup", onUp, true);
  document.addEventListener("pointercancel", onCancel, true);
  model.on("change:view", draw);
  model.on("change:brushed", onBrush);
  const timer = setInterval(draw, NOW_EVERY_MS);
  // The chart comes, goes and is laid out whenever it likes.
  const watch = new MutationObserver(() => requestAnimationFrame(draw));
  const sized = new ResizeObserver(draw);
  requestAnimationFrame(() => {
    const area = lanes();
    if (area) { watch.observe(area.querySelector(".ll-lane") ?? area, { childList: true, subtree: true }); sized.observe(area); }
    draw();
  });
  return () => {
    clearInterval(timer);
    watch.disconnect();
    sized.disconnect();
    document.removeEventListener("pointermove", onMove);
    document.removeEventListener("pointerdown", onDown, true);
    document.removeEventListener("pointerup", onUp, true);
    document.removeEventListener("pointercancel", onCancel, true);
    model.off("change:view", draw);
    model.off("change:brushed", onBrush);
  };
}

export default { render };
