// Parts of the settings page: cards, limits, the lake, the audit.

const NOTHING = "–";

/** A card with a heading, and what it is for in a sentence. */
function settingsCard(name, title, about, ...children) {
  const heading = h("h2", { id: `ll-set-${name}` }, title);
  return h("section", { class: "ll-set-card", "data-card": name, "aria-labelledby": heading.id },
    h("header", {}, heading, about ? h("p", { class: "ll-set-about" }, about) : null), ...children);
}

/** A line that says how something went; read out when it changes. */
function sayLine() {
  const line = h("p", { class: "ll-set-said", role: "status" });
  return { line, say(tone, text) { line.dataset.tone = tone; line.textContent = text; } };
}

/** An error of the API as a sentence; anything else is a mistake of ours and goes on. */
function inWords(error) {
  if (!error.message || !("hint" in error)) throw error;
  return `${plain(error.message)} ${plain(error.hint)}`.trim();
}

/** Rows of a description list; what has no value is left out. */
function facts(...rows) {
  return h("dl", { class: "ll-set-facts" }, ...rows.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

const LIMIT_LABELS = {
  FILE_MAX_BYTES: "Largest file", ATTACHMENT_MAX_PER_EVENT: "Most files of an entry", ALLOWED_MIME_TYPES: "Types of files",
};

function limitValue(name, value) {
  if (Array.isArray(value)) return h("span", { class: "ll-set-types" }, ...value.map((type) => h("code", {}, plain(type))));
  if (name === "FILE_MAX_BYTES") return `${byteSize(value)} (${value.toLocaleString()} bytes)`;
  return value === 0 ? "none at all" : `at most ${value.toLocaleString()}`;
}

function limitSource(source) {
  if (source === "default") return "the default";
  const [, variable] = source.match(/^environment (.*)$/) ?? [];
  return variable ? h("span", {}, "the environment: ", h("code", {}, plain(variable))) : h("code", {}, plain(source));
}

function limitsList({ limits, trouble, file }) {
  return [
    trouble ? h("p", { class: "ll-set-trouble" }, `At the next start config.toml can't be used. ${plain(trouble)}`) : null,
    h("table", { class: "ll-set-table ll-set-limits" },
      h("thead", {}, h("tr", {}, ...["Limit", "In use", "Comes from"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, ...limits.map(({ name, value, source, next }) => h("tr", { "data-limit": name },
        h("th", { scope: "row" }, LIMIT_LABELS[name] ?? name, h("code", {}, name)),
        h("td", { "data-label": "In use" }, limitValue(name, value),
          next === null ? null : h("p", { class: "ll-set-next" }, "From the next start: ", limitValue(name, next))),
        h("td", { "data-label": "Comes from" }, limitSource(source)))))),
    h("p", { class: "ll-set-about" }, "Change them in the environment, or below ", h("code", {}, "[journal]"), " in ",
      h("code", { class: "ll-set-path" }, plain(file)), "; they count from the next start of lifelog up."),
  ].filter(Boolean);
}

function lakeFacts(lake) {
  return [
    h("p", { class: "ll-set-reach", role: "status", "data-reachable": String(lake.reachable) },
      dot(lake.reachable ? "well" : "bad"),
      h("span", {}, h("b", {}, lake.reachable ? "It can be reached." : "It can't be reached."),
        lake.reachable ? "" : ` ${plain(lake.error)} ${plain(lake.hint)}`)),
    facts(
      ["Address", lake.url ? h("code", { class: "ll-set-path" }, plain(lake.url)) : null],
      ["Bucket", lake.bucket ? h("code", {}, plain(lake.bucket)) : null],
      ["Prefix", lake.prefix ? h("code", { class: "ll-set-path" }, plain(lake.prefix)) : null],
      [lake.bucket ? "Server" : "File system", lake.place ? plain(lake.place) : null],
      ["Lake id", lake.lake_id ? h("code", { class: "ll-set-path" }, plain(lake.lake_id)) : null],
      ["Generation", lake.generation === null ? null : lake.generation.toLocaleString()],
      ["Format", lake.format === null ? null : String(lake.format)],
      ["Made", lake.created_at ? longTime(new Date(lake.created_at)) : null]),
  ];
}

const ACTIONS = {
  "token.create": "made a token", "token.rotate": "rotated a token", "token.revoke": "revoked a token",
  "password.change": "changed the password", "entry.create": "wrote an entry", "entry.change": "changed an entry",
  "entry.delete": "deleted an entry", "entry.undelete": "brought an entry back", "attachment.create": "attached files",
  "attachment.delete": "took a file away", export: "exported the journal", import: "imported entries", ingest: "sent rows",
};

function whoOf(who) {
  if (who === "person") return "Person";
  if (who === "command") return "Command line";
  const [, name] = who.match(/^token \S+ (.*)$/s) ?? [];
  return name ? h("span", {}, "Token ", said(name)) : said(who);
}

/** What a line is about: ids, counts and kinds. Keys of files are left out, nobody reads them. */
function aboutOf(line) {
  const token = line.token ? `${line.name ?? ""} (${line.token})`.trim() : "";
  const count = Array.isArray(line.entries) && line.entries.length > 1 ? `${line.entries.length} entries` : "";
  const entry = line.entry ?? (Array.isArray(line.entries) && line.entries.length === 1 ? line.entries[0] : "");
  const scopes = Array.isArray(line.scopes) ? line.scopes.join(", ") : "";
  const rows = typeof line.rows === "number" ? plural(line.rows, "row") : "";
  return [token, scopes, count, entry, line.format, line.source, rows].filter((part) => typeof part === "string" && part).map(plain).join(" · ");
}

function auditTable(lines) {
  if (!lines.length) return h("p", { class: "ll-set-about" }, "Nothing yet.");
  return h("table", { class: "ll-set-table ll-set-audit" },
    h("thead", {}, h("tr", {}, ...["When", "Who", "Did what", "About", "From"].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, ...lines.map((line) => h("tr", { "data-action": line.action },
      h("td", {}, when(line.at, `${shortDay(new Date(line.at))}, ${clockTime(new Date(line.at))}`)),
      h("td", {}, whoOf(line.who)),
      h("td", {}, ACTIONS[line.action] ?? said(line.action)),
      h("td", { class: "ll-set-what" }, h("bdi", {}, aboutOf(line))),
      h("td", { class: "ll-set-from" }, said(line.address || (line.who === "command" ? "this machine" : NOTHING)))))));
}
