/* The admin's sessions: opened, watched, closed. Names and links enter the page as text. */
window.memeapp.sessions = (root) => {
  const find = (name, at = root) => at.querySelector(`[data-${name}]`);
  const plan = find("plan");
  let drawn = "";

  const complain = (sentence) => {
    find("trouble").textContent = sentence;
    find("trouble").hidden = !sentence;
  };

  const send = async (address, body = {}) => {
    complain(await window.memeapp.post(`sessions${address}`, body));
    await look();
  };

  const address = (token) => new URL(`join/${token}`, document.baseURI).href;

  const link = ({ token }) => {
    const part = find("link").content.cloneNode(true);
    const url = address(token);
    part.querySelector("img").src = `sessions/invites/${token}/code.svg?address=${encodeURIComponent(url)}`;
    const anchor = find("address", part);
    anchor.textContent = anchor.href = url;
    part.querySelector("[data-act=copy]").addEventListener("click", async ({ target }) => {
      try {
        await navigator.clipboard.writeText(url);
        target.textContent = "Copied";
      } catch {
        complain("The browser does not let this page copy; mark the link and copy it yourself.");
      }
    });
    part.querySelector("[data-act=revoke]").addEventListener("click", () => send(`/invites/${token}/revoke`));
    return part;
  };

  const person = ({ id, name, judged, admitted, counted }) => {
    const row = document.createElement("li");
    const words = document.createElement("span");
    words.textContent = `${name} · ${judged} judged${admitted ? "" : " · taken out"}${counted ? "" : " · not counted"}`;
    const button = (text, path, on) => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = text;
      made.addEventListener("click", () => send(`/people/${id}/${path}`, { on }));
      return made;
    };
    row.append(
      words,
      button(admitted ? "Take out" : "Let in again", "admit", !admitted),
      button(counted ? "Leave votes out" : "Count votes", "count", !counted),
    );
    return row;
  };

  const fetched = async (address) => {
    const response = await fetch(`sessions${address}`).catch(() => null);
    if (response?.ok) return response.json();
    complain("The server did not answer; close this part and open it again.");
    return null;
  };

  const element = (name, text, within) => {
    const made = document.createElement(name);
    made.textContent = text;
    within?.append(made);
    return made;
  };

  const percent = (figure) =>
    figure
      ? `${Math.round(100 * figure.value)} %` +
        (figure.low === null ? "" : ` (${Math.round(100 * figure.low)} to ${Math.round(100 * figure.high)})`)
      : "not defined";
  const decimal = (figure) =>
    figure
      ? figure.value.toFixed(2) +
        (figure.low === null ? "" : ` (${figure.low.toFixed(2)} to ${figure.high.toFixed(2)})`)
      : "not defined";

  const table = (heads, rows, within) => {
    const made = element("table", "", within);
    made.className = "versions";
    const head = element("tr", "", element("thead", "", made));
    for (const word of heads) element("th", word, head).scope = "col";
    const body = element("tbody", "", made);
    for (const [first, ...rest] of rows) {
      const row = element("tr", "", body);
      element("th", first, row).scope = "row";
      rest.forEach((word, at) => (element("td", word, row).dataset.head = heads[at + 1]));
    }
  };

  const quality = async (id, box) => {
    const found = await fetched(`/${id}/quality`);
    if (!found) return;
    const place = find("quality", box);
    place.replaceChildren();
    element("h4", "How far people agree", place);
    table(
      ["Label", "Memes", "Pairs that agree", "Krippendorff's α", "Gwet's AC1", "Worth independent labels"],
      found.labels.map((one) => [one.name, one.memes, percent(one.observed), decimal(one.alpha), decimal(one.ac1), one.effective?.toFixed(0) ?? "0"]),
      place,
    );
    element("p", "On blind answers, with 95 % intervals over memes. α collapses where a label is rare; AC1 does not.", place).className = "legend";
    element("h4", "What the model's answer does", place);
    table(
      ["Label", "Changed to the model's answer after seeing it", "Yes beside the model's answer, compared with blind"],
      found.labels.map((one) => [one.name, percent(one.switched), one.shift ? `${one.shift.value > 0 ? "+" : ""}${percent(one.shift)}` : "not defined"]),
      place,
    );
    element("h4", "People", place);
    table(
      ["Name", "Judged", "Agree with most others", "Right on known answers", "Seconds", "Judged unseen", "Exposure, s"],
      found.people.map((one) => [
        one.name,
        one.judged,
        percent(one.agreement),
        percent(one.gold),
        one.seconds?.toFixed(1) ?? "",
        one.unrevealed === null ? "" : `${Math.round(100 * one.unrevealed)} %`,
        Math.round(one.exposure),
      ]),
      place,
    );
    for (const one of found.people) if (one.warn) element("p", `${one.name}: ${one.warn}`, place).className = "notice";
    element("p", "Judged unseen: without uncovering the picture. Exposure: seconds of looking at uncovered pictures, weighed by how severe the model finds them.", place).className = "legend";
  };

  const disputed = async (id, box) => {
    const found = await fetched(`/${id}/disputed`);
    if (!found) return;
    const place = find("disputed", box);
    place.replaceChildren();
    const next = found.find((one) => !one.decision);
    const left = found.filter((one) => !one.decision).length;
    element("p", next ? `${left} memes on which people disagree wait for a decision, the most disputed first.` : "There is nothing to decide: people agree, or all is decided.", place);
    if (!next) return;
    const part = find("dispute").content.cloneNode(true);
    const form = part.querySelector("form");
    form.querySelector(".meme-text").textContent = next.text || "(no text known)";
    form.querySelector("[data-act=look]").addEventListener("click", ({ target }) => {
      const figure = form.querySelector("figure");
      figure.hidden = !figure.hidden;
      figure.querySelector("img").src = `media/${next.meme}`;
      target.textContent = figure.hidden ? "Show the picture" : "Cover the picture";
    });
    next.votes.forEach((vote, at) => {
      const yes = Object.entries(vote.labels).filter(([, said]) => said).map(([label]) => label);
      element("li", `Voice ${at + 1}: ${yes.join(", ") || "nothing applies"}${vote.note ? ` — “${vote.note}”` : ""}`, form.querySelector(".voices"));
    });
    const boxes = [...form.querySelectorAll(".choices input")];
    form.addEventListener("change", ({ target }) => {
      if (target === boxes[0] && !target.checked) boxes.forEach((one) => (one.checked = false));
      else if (boxes.includes(target) && target.checked) boxes[0].checked = true;
    });
    form.addEventListener("keydown", (event) => {
      if (event.target.matches("input:not([type=checkbox])") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (/^[1-9]$/.test(event.key) && boxes[event.key - 1]) boxes[event.key - 1].click();
      else if (event.key === "g") form.elements.unclear.click();
      else if (event.key === "Enter") form.requestSubmit();
      else return;
      event.preventDefault();
    });
    const key = window.memeapp.newKey();
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const labels = Object.fromEntries(boxes.map((one) => [one.name, one.checked]));
      const problem = await window.memeapp.post(`sessions/${id}/decide`, {
        meme: next.meme, labels, note: form.elements.note.value, unclear: form.elements.unclear.checked, key,
      });
      complain(problem);
      if (!problem) await disputed(id, box);
    });
    place.append(part);
    boxes[0].focus({ preventScroll: true });
  };

  const one = (session, opened) => {
    const part = find("one").content.cloneNode(true);
    const { counts } = session;
    const share = counts.wanted ? (100 * counts.votes) / counts.wanted : 0;
    part.querySelector("h3").textContent = session.name;
    find("state", part).textContent =
      `${session.open ? "Open" : "Closed"} · ${counts.done} of ${counts.memes} memes done · ` +
      `${counts.people} people, ${counts.at_work} at work` +
      (counts.gold ? ` · ${counts.gold} memes with a known answer` : "");
    part.querySelector(".fill").style.width = `${share}%`;
    part.querySelector("[role=progressbar]").setAttribute("aria-valuenow", Math.round(share));
    part.querySelector(".percent").textContent = `${counts.votes} of ${counts.wanted}`;
    find("links", part).append(...(session.open ? session.invites.map(link) : []));
    for (const box of part.querySelectorAll("details")) {
      box.dataset.key = `${session.id} ${box.dataset.part}`;
      const fill = { quality, disputed }[box.dataset.part];
      if (fill) box.addEventListener("toggle", () => box.open && fill(session.id, box));
      box.open = opened.has(box.dataset.key);
    }
    part.querySelector("[data-part=people] summary").textContent = `People (${session.people.length})`;
    find("people", part).append(...session.people.map(person));
    part.querySelector("[data-act=invite]").hidden = !session.open;
    part.querySelector("[data-act=invite]").addEventListener("click", () => send(`/${session.id}/invites`));
    const gold = part.querySelector("[data-act=gold]");
    gold.hidden = !session.open;
    gold.addEventListener("click", async () => {
      await send(`/${session.id}/gold`, { memes: counts.gold + 10 });
      const { gold: now } = JSON.parse(drawn).find(({ id }) => id === session.id).counts;
      if (now === counts.gold) complain("No other meme of this session has an answer that everybody agrees on.");
    });
    const toggle = part.querySelector("[data-act=toggle]");
    toggle.textContent = session.open ? "Close" : "Open again";
    toggle.addEventListener("click", () => send(`/${session.id}/open`, { on: !session.open }));
    return part;
  };

  const look = async () => {
    const response = await fetch("sessions").catch(() => null);
    root.hidden = !response?.ok;
    if (root.hidden) return;
    const found = await response.text();
    const judging = root.querySelector("[data-part=disputed][open]");
    if (found === drawn || (judging && drawn)) return; /* so that what somebody is about to press stays where it is */
    drawn = found;
    const sessions = JSON.parse(found);
    const opened = new Set([...root.querySelectorAll("details[data-key][open]")].map((box) => box.dataset.key));
    find("list").replaceChildren(...sessions.map((session) => one(session, opened)));
    if (!sessions.length) find("new").open = true;
  };

  plan.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { name, guidelines, votes_per_meme, suggestions, open_until, break_minutes, leaderboard } = plan.elements;
    const policy = Object.fromEntries(
      [...plan.querySelectorAll("[data-queue]")].map((box) => [box.dataset.queue, Number(box.value)]),
    );
    const problem = await window.memeapp.post("sessions", {
      name: name.value,
      guidelines: guidelines.value,
      votes_per_meme: Number(votes_per_meme.value),
      suggestions: suggestions.value,
      break_minutes: Number(break_minutes.value),
      leaderboard: leaderboard.checked,
      open_until: open_until.value && new Date(open_until.value).toISOString(),
      policy,
    });
    complain(problem);
    if (problem) return;
    plan.reset();
    find("new").open = false;
    await look();
  });

  window.memeapp.lookAtSessions = look;
  look();
  setInterval(() => {
    if (root.isConnected && root.checkVisibility() && !document.hidden) look();
  }, 3_000);
};
