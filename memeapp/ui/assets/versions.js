/* The admin's model versions: which answers, what came from what, one as a file out and in. */
window.memeapp.versions = (root) => {
  const TICK_MS = 15_000;
  const GATE = { promote: "passed", wait: "did not pass", unknown: "cannot tell" };
  const { element, button, bytes } = window.memeapp;
  const find = (name, at = root) => at.querySelector(`[data-${name}]`);
  const chosen = new Set(); /* names to compare, the one ticked first first */
  let drawn = "";

  const say = (name, sentence) => {
    find(name).textContent = sentence;
    find(name).hidden = !sentence;
  };

  const act = async (address, told) => {
    const problem = await window.memeapp.post(`versions/${address}`, {});
    say("trouble", problem);
    say("told", problem ? "" : told);
    await look();
    window.memeapp.lookAtAudit?.();
  };

  const quiet = (words, within) => Object.assign(element("span", words, within), { className: "unseen" });

  const cell = (head, words, row) => {
    const made = element("td", words, row);
    made.dataset.head = head;
    return made;
  };

  const figure = (head, measured, row) => {
    const at = cell(head, "", row);
    const known = typeof measured?.value === "number";
    const box = element("span", known ? `${measured.value.toFixed(3)} ` : "", at);
    box.className = "figure";
    const range = known && typeof measured.low === "number" ? `${measured.low.toFixed(3)}–${measured.high.toFixed(3)}` : "";
    element("span", known ? range : "not measured", box).className = "interval";
  };

  const lineage = ({ parent, parent_here, uploaded_as, shipped }) => {
    if (uploaded_as) return `uploaded; ${uploaded_as} where it was trained${parent ? `, after ${parent}` : ""}`;
    if (parent) return `after ${parent}${parent_here ? "" : ", which is gone"}`;
    return shipped ? "came with the program" : "";
  };

  const ask = (name, at) => {
    at.replaceChildren();
    element("span", `Delete ${name} for good? `, at);
    button("Delete for good", () => act(`${name}/delete`, `${name} is deleted.`), at);
    button("Keep it", () => look(true), at).focus();
  };

  const actions = (version, row) => {
    const { name, current, shipped, older } = version;
    const at = element("td", "", row);
    at.className = "act";
    if (current) element("span", "✓ in use", at).className = "decision yes";
    else {
      const use = button(older ? "Roll back to" : "Use", () => act(`${name}/promote`, `Version ${name} answers from now on.`), at);
      quiet(older ? ` ${name}` : ` version ${name}`, use);
      use.dataset.event = "promote";
      use.dataset.version = name;
    }
    const link = (words, file) => {
      const made = element("a", words, at);
      made.className = "button";
      made.href = `versions/${name}/${file}`;
      quiet(` of ${name}`, made);
      return made;
    };
    link("Receipt", "receipt");
    link("Download", "bundle.zip").download = `${name}.zip`;
    if (!current && !shipped) quiet(` ${name}`, button("Delete", () => ask(name, at), at));
  };

  const show = (version) => {
    const { name, lane, gate } = version;
    const row = element("tr", "");
    row.dataset.version = name;
    row.dataset.lane = lane;
    row.style.setProperty("--lane", Math.min(lane, 4));
    if (version.current) row.className = "current";
    const head = element("th", "", row);
    head.scope = "row";
    const label = element("label", "", head);
    const tick = element("input", "", label);
    Object.assign(tick, { type: "checkbox", checked: chosen.has(name), autocomplete: "off" });
    tick.addEventListener("change", () => choose(name, tick.checked));
    quiet("Compare ", label);
    element("span", name, label);
    const made = version.created_at.slice(0, 16).replace("T", " ");
    for (const words of [lineage(version), [made, version.encoder, bytes(version.bytes)].join(" · ")]) element("span", words, head).className = "help";
    cell("Learned from", `${version.labelled ?? "?"} labelled`, row);
    figure("A, held out", version.a, row);
    figure("B, held out", version.b, row);
    const said = cell("Gate", "", row);
    if (gate) {
      const box = element("details", "", said);
      element("summary", GATE[gate.verdict] ?? String(gate.verdict), box);
      element("span", String(gate.reason ?? ""), box).className = "help";
    } else said.textContent = "not asked";
    actions(version, row);
    return row;
  };

  /* Two at most: a third takes the place of the one ticked first. */
  const choose = (name, on) => {
    chosen.delete(name);
    if (on) chosen.add(name);
    while (chosen.size > 2) chosen.delete(chosen.values().next().value);
    for (const row of find("list").rows) row.querySelector("input").checked = chosen.has(row.dataset.version);
    const [a, b] = chosen;
    find("compare").hidden = chosen.size < 2;
    find("hint").hidden = chosen.size === 2;
    if (b) find("compare").href = `versions/compare?${new URLSearchParams({ a, b })}`;
  };

  const look = async (anew = false) => {
    const response = await fetch("versions").catch(() => null);
    if (!response) return; /* what was seen last stays */
    root.hidden = !response.ok;
    if (root.hidden) return;
    const text = await response.text();
    if (text === drawn && !anew) return; /* so that what is open or about to be pressed stays */
    drawn = text;
    const found = JSON.parse(text);
    const names = new Set(found.versions.map(({ name }) => name));
    for (const name of chosen) if (!names.has(name)) choose(name, false);
    find("none").hidden = names.size > 0;
    find("some").hidden = !names.size;
    find("list").replaceChildren(...found.versions.map(show));
    find("total").textContent = `All versions take ${bytes(found.bytes)} of the disk.`;
  };

  /* `fetch` does not tell how far it is. */
  const send = (file) =>
    new Promise((resolve) => {
      const request = new XMLHttpRequest();
      const box = find("sending");
      request.open("POST", "versions/upload");
      request.setRequestHeader("Content-Type", "application/zip");
      request.responseType = "json";
      request.upload.addEventListener("progress", ({ loaded, total }) => {
        const percent = Math.floor((100 * loaded) / total);
        box.querySelector(".fill").style.width = `${percent}%`;
        box.querySelector("[role=progressbar]").setAttribute("aria-valuenow", percent);
        box.querySelector(".percent").textContent = `${percent} %`;
        find("sent").textContent = loaded < total ? `Uploading ${file.name}` : `Checking ${file.name}`;
      });
      request.addEventListener("loadend", () => resolve(request));
      request.send(file);
    });

  find("bring").addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    const [file] = form.querySelector("input").files;
    if (!file || find("send").disabled) return;
    find("send").disabled = true;
    find("sending").hidden = false;
    const { status, response } = await send(file);
    find("sending").hidden = true;
    find("send").disabled = false;
    const { name, notices, detail } = response ?? {};
    if (name) form.reset();
    say("told", name ? [`${file.name} is here as ${name}; it does not answer until you use it.`, ...notices].join(" ") : "");
    const refused = status === 413 ? "The file is too large." : `The server did not accept that (${status}).`;
    say("trouble", name ? "" : status === 0 ? "The server cannot be reached; try again." : typeof detail === "string" ? detail : refused);
    await look();
    window.memeapp.lookAtAudit?.();
  });

  window.memeapp.lookAtVersions = () => look();
  look();
  setInterval(() => {
    if (root.isConnected && !document.hidden && root.checkVisibility()) look();
  }, TICK_MS);
};
