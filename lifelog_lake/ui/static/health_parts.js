// Devices with their streams, flows, and storage.

const NOTHING = "–";
const SILENT_MS = 10 * 60e3;

/** States over the last day as a strip; what lies over others (off, asleep, paused) comes last. */
function strip(spells, over, end, last) {
  const start = end - DAY_MS;
  const bar = h("div", { class: "ll-strip", role: "img" });
  const sums = {};
  for (const spell of [...spells, ...over]) {
    const from = Math.max(start, Date.parse(spell.start));
    const to = Math.min(end, spell.end ? Date.parse(spell.end) : over.includes(spell) ? end : last);
    if (to <= from) continue;
    sums[spell.state] = (sums[spell.state] ?? 0) + to - from;
    const part = h("span", { "data-state": spell.state, "data-tone": toneOf(spell.state), title: `${stateName(spell.state)}, ${shortTime(new Date(from))} to ${shortTime(new Date(to))}` });
    part.style.left = `${((from - start) / DAY_MS) * 100}%`;
    part.style.width = `${((to - from) / DAY_MS) * 100}%`;
    bar.append(part);
  }
  const words = Object.entries(sums).map(([state, ms]) => `${stateName(state)} ${roughly(ms)}`).join(", ");
  bar.setAttribute("aria-label", `The last 24 hours: ${words || "nothing known"}`);
  return bar;
}

/** `silent`: what a device said last is nothing to go by any more. */
function streamRow(stream, device, now, silent) {
  const problems = [
    stream.restarts_hour ? `${plural(stream.restarts_hour, "restart")} in the last hour` : "",
    stream.errors ? plural(stream.errors, "error") : "",
  ].filter(Boolean).join(", ");
  const last = Math.min(now, Date.parse(device.last_seen_at) + 60e3); // it was so then
  const cell = (label, name, ...content) => h("td", { class: `ll-cell-${name}`, "data-label": label, "data-empty": content[0] === NOTHING }, ...content);
  const waits = stream.spool_bytes ? byteSize(stream.spool_bytes) : "nothing";
  const tone = silent ? "idle" : toneOf(stream.state);
  return h("tr", { "data-stream": stream.stream ?? stream.collector, "data-tone": tone },
    h("th", { scope: "row" }, dot(tone), said(stream.label)),
    cell("State", "state", stateName(stream.state)),
    cell("Last seen", "seen", stream.last_capture_at ? when(stream.last_capture_at, ago(stream.last_capture_at, now)) : NOTHING),
    cell("In the lake", "newest", stream.newest_at ? when(stream.newest_at, ago(stream.newest_at, now)) : NOTHING),
    cell("Lag", "lag", stream.lag_s === null ? NOTHING : stream.lag_s < 1 ? "none" : roughly(stream.lag_s * 1000)),
    cell("Waiting", "waits", stream.spool_bytes === null ? NOTHING : waits),
    cell("Last 24 hours", "day", strip(stream.spells, device.spells, now, last)),
    cell("Trouble", "trouble", problems || NOTHING,
      stream.last_error && toneOf(stream.state) !== "well" ? h("div", { class: "ll-last-error" }, said(stream.last_error)) : null));
}

/** The most severe of what is open about a device, undefined if nothing is. */
function worstOf(device, alerts) {
  const open = alerts.filter((alert) => alert.device === device.device && alert.state !== "resolved");
  return SEVERITIES.find((severity) => open.some((alert) => alert.severity === severity));
}

/** The devices, those in trouble first. */
function byTrouble({ devices, alerts }) {
  const rank = (device) => { const place = SEVERITIES.indexOf(worstOf(device, alerts)); return place < 0 ? SEVERITIES.length : place; };
  return [...devices].sort((a, b) => rank(a) - rank(b));
}

function deviceCard(device, fleet, now) {
  const worst = worstOf(device, fleet.alerts);
  const silent = device.state === "running" && now - Date.parse(device.last_seen_at) > SILENT_MS;
  const well = device.state === "running" && !silent;
  const tone = worst === "critical" ? "bad" : worst === "warning" ? "warn" : well ? "well" : "idle";
  const state = silent ? "Silent" : device.paused ? "Paused" : stateName(device.state);
  const fact = (label, value) => value === null || value === undefined || value === "" ? null : h("div", {}, h("dt", {}, label), h("dd", {}, value));
  const shown = device.streams.filter(({ enabled, spool_bytes }) => enabled || spool_bytes);
  const off = device.streams.filter(({ state, spool_bytes }) => state === "disabled" && !spool_bytes);
  const aw = device.activitywatch;
  return h("article", { class: "ll-card ll-device", "data-device": device.device, "data-tone": tone },
    h("header", {}, dot(tone), h("h3", {}, said(device.device)),
      h("span", { class: "ll-device-state" }, state),
      h("span", { class: "ll-device-seen" }, "seen ", when(device.last_seen_at, ago(device.last_seen_at, now)))),
    h("dl", { class: "ll-device-facts" },
      fact("Version", device.version === null ? null : said(device.version)),
      fact("Settings", device.config_hash === null ? null : h("code", { title: plain(device.config_hash) }, plain(device.config_hash.slice(0, 8)))),
      fact("Disk free", device.disk_free_bytes === null ? null : byteSize(device.disk_free_bytes) + (device.disk_full_at ? `, full ${ago(device.disk_full_at, now)}` : "")),
      fact("Clock", device.skew_s === null ? null : Math.abs(device.skew_s) < 5 ? "right" : `${roughly(Math.abs(device.skew_s) * 1000)} ${device.skew_s > 0 ? "ahead" : "behind"}`),
      fact("ActivityWatch", aw?.state ? said(String(aw.state)) : null)),
    shown.length ? h("table", { class: "ll-streams" },
      h("thead", {}, h("tr", {}, ...["Stream", "State", "Last seen", "In the lake", "Lag", "Waiting", "Last 24 hours", "Trouble"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, ...shown.map((stream) => streamRow(stream, device, now, silent)))) : h("p", { class: "ll-faint" }, "It hasn't told of any stream yet."),
    off.length ? h("p", { class: "ll-faint" }, "Switched off: ", off.map(({ label }) => plain(label)).join(", ")) : null);
}

function flowsCard(flows, now) {
  const rows = flows.flows.map((flow) => {
    const tone = flow.failed ? "bad" : flow.state === "Findings" ? "warn" : flow.state ? "well" : "idle";
    const last = flow.running_since ? "Running now" : flow.state === "Completed" ? "Well" : flow.state ? plain(flow.state) : "Not yet";
    const cell = (label, ...content) => h("td", { "data-label": label }, ...content);
    return h("tr", { "data-flow": flow.name, "data-tone": tone },
      h("th", { scope: "row" }, dot(flow.enabled ? tone : "idle"), plain(flow.name)),
      cell("Last run", last, flow.failures > 1 ? `, ${flow.failures} times in a row` : ""),
      cell("Ended", flow.ended_at ? when(flow.ended_at, ago(flow.ended_at, now)) : NOTHING),
      cell("Next", flow.enabled ? flow.next_at ? when(flow.next_at, ago(flow.next_at, now)) : NOTHING : "switched off"),
      h("td", { class: "ll-flow-message", "data-label": "What it did" }, said(flow.message)));
  });
  return h("section", { class: "ll-card ll-flows-card", "aria-labelledby": "ll-flows-title" },
    h("header", {}, h("h2", { id: "ll-flows-title" }, "Flows"),
      h("a", { href: `${baseUrl()}lifelog/flows/` }, "All runs")),
    flows.trouble ? h("p", { class: "ll-trouble" }, said(flows.trouble)) : null,
    now - Date.parse(flows.at) > 120e3 ? h("p", { class: "ll-trouble" }, "They last gave a sign of life ", when(flows.at, ago(flows.at, now)), ". They run while lifelog up does.") : null,
    h("table", {}, h("thead", {}, h("tr", {}, ...["Flow", "Last run", "Ended", "Next", "What it did"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, ...rows)));
}

function storageCard(storage, verified, now) {
  const size = ({ table_bytes, content_bytes }) => table_bytes + content_bytes;
  const tables = storage.tables.filter(({ rows }) => rows).sort((a, b) => size(b) - size(a));
  const most = Math.max(1, ...tables.map(size));
  const rows = tables.map((table) => {
    const meter = h("span", { class: "ll-meter" }, h("span"));
    meter.firstChild.style.width = `${Math.max(0.5, (size(table) / most) * 100)}%`;
    return h("tr", { "data-stream": table.stream },
      h("th", { scope: "row" }, said(table.label)),
      h("td", { class: "ll-size" }, meter, h("b", {}, byteSize(size(table)))),
      h("td", { "data-label": "A day" }, table.day_bytes >= 512 ? `+ ${byteSize(table.day_bytes)}` : NOTHING),
      h("td", { "data-label": "Rows" }, table.rows.toLocaleString()),
      h("td", { "data-label": "Files" }, table.files.toLocaleString()));
  });
  const free = storage.disk_free_bytes;
  const used = h("span", { class: "ll-meter ll-disk" }, h("span"));
  if (free !== null) used.firstChild.style.width = `${100 - (free / Math.max(1, storage.disk_total_bytes)) * 100}%`;
  const soon = storage.full_at && Date.parse(storage.full_at) - now < 30 * DAY_MS;
  return h("section", { class: "ll-card ll-storage", "aria-labelledby": "ll-storage-title" },
    h("header", {}, h("h2", { id: "ll-storage-title" }, "Storage"), h("span", { class: "ll-faint" }, said(storage.url))),
    h("p", { class: "ll-forecast", "data-soon": soon ? "" : null },
      `The lake holds ${byteSize(storage.total_bytes)}`, storage.day_bytes >= 512 ? ` and grows by ${byteSize(storage.day_bytes)} a day. ` : ". ",
      free === null ? "" : `Its disk has ${byteSize(free)} free of ${byteSize(storage.disk_total_bytes)}`,
      ...(free === null ? [] : storage.full_at ? [", which is enough for ", when(storage.full_at, roughly(Date.parse(storage.full_at) - now)), "."] : ["."])),
    free === null ? null : used,
    rows.length ? h("table", {}, h("thead", {}, h("tr", {}, ...["Stream", "Size", "A day", "Rows", "Files"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, ...rows)) : null,
    h("p", { class: "ll-faint ll-verified", "data-count": verified?.count },
      ...(verified === null ? ["Nobody has verified this lake yet: ", h("code", {}, "lifelog verify"), "."]
        : ["Verified ", when(verified.at, ago(verified.at, now)), " by ", said(verified.device), `${verified.read_data ? ", every byte" : ""}: ${verified.count ? plural(verified.count, "finding") : "no findings"}.`])),
    verified?.count ? h("ul", { class: "ll-trouble" }, ...verified.findings.slice(0, 5).map((finding) => h("li", {}, said(finding)))) : null);
}
