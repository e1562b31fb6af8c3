// What journal pages share: a person's own writing as text, and what a refusal means for a form.

/**
 * A person's writing as it is: unlike `plain` it keeps lines and what scripts and emoji are joined
 * and directed with. What would turn the writing round is spelled out; a bdi goes around it.
 */
function prose(text) {
  return String(text ?? "").replace(/[^\n\t\u200c-\u200f\u061c]+/g, plain);
}

/** On one line. */
function line(text) {
  return prose(String(text ?? "").replace(/\s+/g, " "));
}

/** Tags as they are typed on one line, commas between. */
function tagsOf(text) {
  return [...new Set(text.split(",").map((tag) => tag.trim()).filter(Boolean))];
}

/** Whatever isn't there yet under a word of one's own is written once, however often it is sent. */
function onceKeys() {
  let last = null;
  let key = "";
  return (content) => {
    const text = JSON.stringify(content);
    if (text !== last) key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    last = text;
    return key;
  };
}

/** Write an entry; a try that got no answer may be made again with the same `once`. */
function createEntry(fields, once) {
  const entry = { ...fields, tz: ZONE };
  return send("events", entry, { headers: { "Idempotency-Key": once(entry) } });
}

/** What was refused, in words for beside the field. */
function refusal({ message, hint, field }) {
  const said = field ? message.replace(/^.*? is wrong: /s, "") : `${message} ${hint ?? ""}`;
  return plain(said.charAt(0).toUpperCase() + said.slice(1));
}

/** The way back in, in a window of its own: what was typed stays. */
function logInAside() {
  const next = encodeURIComponent(`${baseUrl()}lifelog/journal`);
  return h("a", { href: `${baseUrl()}login?next=${next}`, target: "_blank", rel: "noopener" }, "Log in there");
}
