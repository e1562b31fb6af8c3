// The files of an entry: how they look, and how they come and go in the form.

/** Send a file as it is; `progress` hears of each part (0 to 1). Throws as `ask` does. */
function uploadFile(entryId, file, progress, begun) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch doesn't tell how far it is
    const fail = (message, hint) => () => reject({ message, hint });
    request.open("PUT", `${baseUrl()}lifelog/api/events/${encodeURIComponent(entryId)}/attachments/${encodeURIComponent(file.name)}`);
    for (const [name, value] of Object.entries(xsrfHeader())) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => progress(total ? loaded / total : 1);
    request.onload = () => {
      let body = {};
      try { body = JSON.parse(request.responseText); } catch { /* of a proxy: not our words */ }
      if (request.status === 201) resolve(body);
      else reject(refused(request.status, body));
    };
    request.onerror = fail("The upload was cut off.", "Nothing of it was kept. Is lifelog up still running?");
    request.onabort = fail("Stopped.", "");
    begun(() => request.abort());
    request.send(file);
  });
}

/** A small picture of a file, or its icon. */
function fileLook(file) {
  const kind = kindOf(file);
  const shown = h("span", { class: "ll-file-look" }, icon(kind));
  if (file.sha256 && ["image", "video", "pdf"].includes(kind)) {
    const picture = h("img", { src: thumbnailUrl(file.sha256), alt: "", loading: "lazy", decoding: "async", onload: () => shown.replaceChildren(picture) });
    picture.loading = "eager"; // it isn't on the page before it has come
  }
  return shown;
}

/** A file in the detail: looked at here if it can be, and to be downloaded. */
function fileFigure(file) {
  const name = h("bdi", { class: "ll-file-name" }, plain(file.name));
  const facts = h("span", { class: "ll-file-facts" }, [ICONS[kindOf(file)][0], byteSize(file.size_bytes)].join(", "));
  const address = `${baseUrl()}lifelog/api/attachments/${encodeURIComponent(file.key)}`;
  let look = fileLook(file);
  if (file.sha256 && kindOf(file) === "image") {
    look = h("a", { href: blobUrl(file.sha256), target: "_blank", rel: "noopener", "aria-label": `Open the picture ${plain(file.name)}` }, look);
  } else if (file.sha256 && kindOf(file) === "video") {
    const still = look;
    look = h("video", {
      controls: true, preload: "none", poster: thumbnailUrl(file.sha256), src: blobUrl(file.sha256), "aria-label": plain(file.name),
      onerror: () => look.replaceWith(still), // a kind that the browser can't play
    });
  }
  return h("figure", { class: "ll-file", "data-key": file.key }, look,
    h("figcaption", {}, name, facts,
      file.sha256 ? h("a", { class: "ll-button", href: address, download: true, "aria-label": `Download ${plain(file.name)}` }, "Download")
        : h("span", { class: "ll-file-lost" }, "Its content is lost.")));
}

/** The files in the form: those that are there, to be taken away, and new ones, to be sent. */
function filesField(limits) {
  let items = []; // {file, key?, gone?, state, error, progress, stop}
  const list = h("ul", { class: "ll-form-files" });
  const error = h("p", { class: "ll-field-error", id: "ll-files-error", role: "alert" });
  const picker = h("input", {
    type: "file", multiple: true, name: "files", id: "ll-files", accept: (limits.allowed_types ?? []).join(","), "aria-describedby": "ll-files-error",
    onchange: () => { add(picker.files); picker.value = ""; },
  });
  const hint = limits.file_max_bytes ? `At most ${limits.attachments_per_entry}, ${byteSize(limits.file_max_bytes)} each. Drop or paste them here, too.` : "";
  const root = h("div", { class: "ll-field", "data-field": "files" },
    h("label", { for: "ll-files" }, "Files"), list, picker, h("p", { class: "ll-field-hint" }, hint), error);

  const remaining = () => items.filter(({ gone }) => !gone);

  function add(files) {
    error.textContent = "";
    for (const file of files) {
      if (limits.attachments_per_entry !== undefined && remaining().length >= limits.attachments_per_entry) {
        error.textContent = `An entry has at most ${limits.attachments_per_entry} files: ${plain(file.name)} and what came after it aren't among them.`;
        break;
      }
      const item = { file, state: "waits" };
      if (file.size > limits.file_max_bytes) [item.state, item.error] = ["failed", `It has ${byteSize(file.size)}, more than the ${byteSize(limits.file_max_bytes)} that a file may have.`];
      items.push(item);
    }
    draw();
  }

  function draw() {
    list.replaceChildren(...items.map((item) => {
      const { file, key, gone, state } = item;
      const name = plain(file.name);
      const act = (text, label, onclick) => h("button", { type: "button", class: "ll-button", "aria-label": `${label} ${name}`, onclick: () => { onclick(); draw(); root.querySelector(`[data-item="${items.indexOf(item)}"] button, input`)?.focus(); } }, text);
      return h("li", { "data-item": items.indexOf(item), "data-state": gone ? "gone" : state ?? "there" },
        key ? fileLook(file) : h("span", { class: "ll-file-look" }, icon(kindOf({ media_type: file.type || "" }))),
        h("span", { class: "ll-form-file-text" }, h("bdi", { class: "ll-file-name" }, name),
          h("span", { class: "ll-file-facts" }, gone ? "Is taken away when you save." : byteSize(file.size ?? file.size_bytes)),
          state === "sends" ? (item.bar = h("progress", { max: 1, value: item.progress ?? 0, "aria-label": `Upload of ${name}` })) : null,
          item.error ? h("span", { class: "ll-field-error", role: "alert" }, item.error) : null),
        state === "sends" ? act("Stop", "Stop the upload of", () => item.stop?.())
          : gone ? act("Keep", "Keep", () => { item.gone = false; })
            : act("Remove", "Remove", () => { if (key) item.gone = true; else items = items.filter((other) => other !== item); }));
    }));
  }

  async function sendOne(entryId, item) {
    Object.assign(item, { state: "sends", error: "", progress: 0 });
    draw();
    try {
      const kept = await uploadFile(entryId, item.file, (part) => { item.progress = part; if (item.bar) item.bar.value = part; }, (stop) => { item.stop = stop; });
      Object.assign(item, { file: kept, key: kept.key, state: undefined });
    } catch (failure) {
      if (!failure.message) throw failure;
      Object.assign(item, { state: "failed", error: `${plain(failure.message)} ${plain(failure.hint ?? "")}` });
    }
    draw();
  }

  return {
    root, add,
    load(files) {
      items = files.map((file) => ({ file, key: file.key }));
      error.textContent = "";
      draw();
    },
    changed: () => items.some(({ key, gone }) => !key || gone),
    /** Make the entry's files what is shown; whether all of it went well. */
    async save(entryId) {
      for (const item of items.filter(({ key, gone }) => key && gone)) {
        try {
          await send(`attachments/${encodeURIComponent(item.key)}`, undefined, { method: "DELETE" });
        } catch (failure) {
          if (failure.status !== 404) { // gone already: as it was asked for
            item.error = refusal(failure);
            draw();
            continue;
          }
        }
        items = items.filter((other) => other !== item);
      }
      draw();
      for (const item of [...items]) {
        if (!item.key && !(item.file.size > limits.file_max_bytes)) await sendOne(entryId, item);
      }
      return !this.changed();
    },
  };
}
