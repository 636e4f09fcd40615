/* The admin's imports and exports. Names and sentences enter the page as text. */
window.memeapp.transfer = (root) => {
  const TICK_MS = 3_000;
  const IDLE_TICKS = 5; /* where nothing is at work, every fifth look is enough */
  const SMALLEST = 2 ** 20;
  const RETRY_MS = [1_000, 2_000, 5_000, 10_000];
  const STATES = { queued: "starting", running: "at work", finished: "finished", failed: "failed", cancelled: "cancelled" };
  const { element, button, bytes } = window.memeapp;
  const find = (name, at = root) => at.querySelector(`[data-${name}]`);
  const bring = find("bring");
  const take = find("take");
  const drawn = {};
  let sending = null; /* { id, stop: AbortController } while this page sends a file */
  let busy = false;
  let ticks = 0;

  const complain = (sentence) => {
    find("trouble").textContent = sentence;
    find("trouble").hidden = !sentence;
  };

  const measure = (at, share) => {
    const percent = Math.floor(100 * share);
    at.querySelector(".fill").style.width = `${100 * share}%`;
    at.querySelector("[role=progressbar]").setAttribute("aria-valuenow", percent);
    at.querySelector(".percent").textContent = `${percent} %`;
  };

  const send = async (address, body = {}) => {
    complain(await window.memeapp.post(`transfer/${address}`, body));
    await look();
  };

  /* A file, piece by piece. */

  /* Tells apart files of one name and size, by their ends: FNV-1a. Browsers keep real hashes from
     pages that did not come over HTTPS, and nothing here has to withstand anybody. */
  const mark = async (file) => {
    const ends = [file.slice(0, 65_536), file.slice(-65_536)];
    let hash = 0xcbf29ce484222325n;
    for (const end of ends)
      for (const byte of new Uint8Array(await end.arrayBuffer())) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
    return hash.toString(16).padStart(16, "0");
  };

  /* The server's answer as JSON; throws a sentence if it will not do, null if it may yet. */
  const asked = async (address, options) => {
    const response = await fetch(`transfer/${address}`, options).catch(() => null);
    if (!response || response.status === 502 || response.status === 504) throw null;
    const answer = await response.json().catch(() => ({}));
    if (response.ok || "offset" in answer) return answer;
    throw typeof answer.detail === "string" ? answer.detail : `The server did not accept that (${response.status}).`;
  };

  const asJson = (body, signal) => ({ ...window.memeapp.asJson(body), signal });

  const pieces = async (file, announced, signal, progress) => {
    const place = await asked("uploads", asJson(announced, signal));
    sending.id = place.id;
    let { offset } = place;
    let length = Math.min(SMALLEST, place.piece);
    while (offset < file.size) {
      progress(offset);
      const began = performance.now();
      const body = await file.slice(offset, offset + length).arrayBuffer();
      ({ offset } = await asked(`uploads/${place.id}?offset=${offset}`, { method: "PUT", body, signal }));
      const seconds = (performance.now() - began) / 1000;
      if (seconds < 1) length = Math.min(2 * length, place.piece);
      else if (seconds > 8) length = Math.max(length / 2, 65_536);
    }
    progress(offset);
    const begun = await asked(`uploads/${place.id}/finish`, asJson({}, signal));
    if ("offset" in begun) throw null; /* something is missing after all */
  };

  const upload = async (file) => {
    const box = find("sending");
    const stop = new AbortController();
    sending = { stop };
    box.hidden = false;
    find("send").disabled = true;
    complain("");
    const progress = (offset, words = "") => {
      find("sent").textContent = words || `Uploading ${file.name}: ${bytes(offset)} of ${bytes(file.size)}`;
      measure(box, offset / file.size);
    };
    let failures = 0;
    let reached = 0;
    progress(0);
    try {
      const announced = { name: file.name, size: file.size, mark: await mark(file) };
      for (;;) {
        try {
          await pieces(file, announced, stop.signal, (offset) => {
            if (offset > reached) failures = 0;
            progress((reached = offset));
          });
          bring.reset();
          break;
        } catch (problem) {
          if (problem !== null || stop.signal.aborted) throw problem;
          const wait = RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)];
          progress(reached, `The connection broke at ${bytes(reached)}; trying again.`);
          await new Promise((resolve) => setTimeout(resolve, wait));
        }
      }
    } catch (problem) {
      if (typeof problem === "string") complain(problem);
      else if (!stop.signal.aborted) complain(`${file.name} cannot be read any more; choose it again.`);
    }
    sending = null;
    box.hidden = true;
    find("send").disabled = false;
    await look();
  };

  /* What the server tells. */

  const list = (title, sentences, leftOut, within) => {
    if (!sentences?.length) return;
    const box = element("details", "", within);
    box.className = "more";
    element("summary", `${title} (${sentences.length + leftOut})`, box);
    const items = element("ul", "", box);
    items.className = "voices";
    for (const sentence of sentences) element("li", sentence, items);
    if (leftOut) element("li", `and ${leftOut} more`, items);
  };

  const job = (kind, title) => (shown) => {
    find(kind).replaceChildren();
    if (!shown) return void (element("p", kind === "import" ? "Nothing has been imported here yet." : "", find(kind)).className = "help");
    const part = find("run").content.cloneNode(true).firstElementChild;
    part.dataset.state = shown.state;
    find("what", part).textContent = `${title(shown)}: ${STATES[shown.state]}`;
    find("stage", part).textContent = shown.active ? shown.stage : "";
    part.querySelector(".measure").hidden = !shown.active;
    part.querySelector("[role=progressbar]").setAttribute("aria-label", title(shown));
    measure(part, shown.progress);
    const { result } = shown;
    const counted = kind === "import" && shown.state === "finished";
    find("message", part).textContent = counted ? "" : shown.message;
    const counts = [["Memes added", result.added], ["Known already", result.known], ["With labels", result.labelled], ["Votes", result.votes]];
    for (const [name, value] of counted ? counts : []) {
      const pair = element("div", "", find("counts", part));
      element("dt", name, pair);
      element("dd", value.toLocaleString(), pair);
    }
    list("Not taken, or not as it is", result.refused, result.refused_left_out, find("lists", part));
    list("Nearly the same as another picture", result.near, result.near_left_out, find("lists", part));
    for (const empty of part.querySelectorAll("p:empty, dl:empty, [data-lists]:empty")) empty.remove();
    const cancel = find("cancel", part);
    if (shown.active) cancel.addEventListener("click", () => send(`${kind}s/${shown.id}/cancel`));
    else cancel.parentElement.remove();
    find(kind).append(part);
  };

  const waiting = (uploads) => {
    find("waiting").replaceChildren();
    for (const { id, name, size, offset } of uploads) {
      const row = element("li", "", find("waiting"));
      const whole = offset === size;
      element("span", whole ? `${name} has arrived and is not imported.` : `${name}: ${bytes(offset)} of ${bytes(size)} arrived. Choose the same file to go on.`, row);
      if (whole) button("Import", () => send(`uploads/${id}/finish`), row);
      button("Remove", () => send(`uploads/${id}/remove`), row);
    }
  };

  const ready = (exports) => {
    find("ready").replaceChildren();
    for (const { id, result, options } of exports) {
      const row = element("li", "", find("ready"));
      const link = element("a", result.file, element("span", "", row));
      link.href = `transfer/exports/${id}/file`;
      link.download = result.file;
      element("span", `${result.memes.toLocaleString()} memes · ${bytes(result.bytes)}${options.names ? " · with names" : ""}`, row);
    }
  };

  const choices = (sessions) => {
    const { session } = take.elements;
    const { value } = session;
    session.replaceChildren(session.options[0]);
    for (const { id, name } of sessions) element("option", `Session ${name}`, session).value = id;
    session.value = value;
    if (session.selectedIndex < 0) session.value = "";
  };

  const draw = (name, value, how) => {
    const now = JSON.stringify(value);
    if (drawn[name] === now) return; /* so that what is open or about to be pressed stays */
    drawn[name] = now;
    how(value);
  };

  const look = async () => {
    ticks = 0;
    const response = await fetch("transfer").catch(() => null);
    if (!response) return; /* what was seen last stays */
    root.hidden = !response.ok;
    if (root.hidden) return;
    const found = await response.json();
    busy = Boolean(found.import?.active || found.export?.active);
    const taken = [sending?.id, found.import?.active && found.import.options.upload];
    draw("import", found.import, job("import", ({ options }) => `Import of ${options.name}`));
    draw("export", found.export, job("export", ({ options }) => `Export as ${options.format}`));
    draw("waiting", found.uploads.filter(({ id }) => !taken.includes(id)), waiting);
    draw("ready", found.ready, ready);
    draw("sessions", found.sessions, choices);
    find("make").disabled = Boolean(found.export?.active);
  };

  bring.addEventListener("submit", (event) => {
    event.preventDefault();
    const [file] = bring.querySelector("input").files;
    if (file && !sending) upload(file);
  });
  find("stop").addEventListener("click", () => sending?.stop.abort());
  take.addEventListener("submit", (event) => {
    event.preventDefault();
    const { format, session, names } = take.elements;
    send("exports", { format: format.value, session: session.value ? Number(session.value) : null, names: names.checked });
  });

  window.memeapp.lookAtTransfers = look;
  look();
  setInterval(() => {
    if (!root.isConnected || document.hidden || !root.checkVisibility()) return;
    if (busy || ++ticks >= IDLE_TICKS) look();
  }, TICK_MS);
};
