/* The admin's sessions: opened, watched, changed, closed. Names and links enter the page as text. */
window.memeapp.sessions = (root) => {
  const find = (name, at = root) => at.querySelector(`[data-${name}]`);
  const plan = find("plan");
  const { element, button, asJson } = window.memeapp;
  const { fill } = window.memeapp.sessionParts(root);
  const PICTURE_MS = 15_000;
  const current = new Map(); /* session number → what the server said of it last */
  const articles = new Map();
  const warnings = new Map(); /* person → a sentence for the admin */
  let drawn = "";

  const complain = (sentence) => {
    find("trouble").textContent = sentence;
    find("trouble").hidden = !sentence;
  };

  const send = async (address, body = {}) => {
    const problem = await window.memeapp.post(`sessions${address}`, body);
    complain(problem);
    await look();
    return !problem;
  };

  const asked = async (address, body) => {
    const response = await fetch(`sessions${address}`, body && asJson(body)).catch(() => null);
    return response?.ok ? response.json() : null;
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

  /* For somebody who lost the cookie or changed the device. */
  const linkFor = async (id, name, row) => {
    const response = await fetch(`label/people/${id}/link`, { method: "POST" }).catch(() => null);
    if (!response?.ok) return complain("No link could be made; try again.");
    const { token } = await response.json();
    row.querySelector(".personal")?.remove();
    const shown = element("p", `Only for ${name}, for a day: `, row);
    shown.className = "personal";
    const link = element("a", "", shown);
    link.textContent = link.href = new URL(`back/${token}`, document.baseURI).href;
  };

  /* A row stays the same element as long as its buttons do, so that a press meets its button. */
  const person = (known, { id, name, judged, admitted, counted, warning }) => {
    const warn = warnings.get(id);
    const state = JSON.stringify([admitted, counted, warning, warn]);
    const words = `${name} · ${judged} judged${admitted ? "" : " · taken out"}${counted ? "" : " · not counted"}`;
    if (known?.dataset.drawn === state) {
      known.firstChild.textContent = words;
      return known;
    }
    const row = element("li", "");
    row.dataset.person = id;
    row.dataset.drawn = state;
    const tell = (text) => send(`/people/${id}/warn`, { text });
    element("span", words, row);
    button(admitted ? "Take out" : "Let in again", () => send(`/people/${id}/admit`, { on: !admitted }), row);
    button(counted ? "Leave votes out" : "Count votes", () => send(`/people/${id}/count`, { on: !counted }), row);
    if (admitted) button("Link for them", () => linkFor(id, name, row), row);
    if (warn && warn !== warning) {
      const worth = element("p", "", row);
      element("span", warn, worth);
      button("Tell them", () => tell(warn), worth);
    }
    if (warning) {
      const told = element("p", "", row);
      element("span", `Told: ${warning}`, told);
      button("Take back", () => tell(""), told);
    }
    return row;
  };

  const people = (article, session) => {
    const list = find("people", article);
    const known = new Map([...list.children].map((row) => [row.dataset.person, row]));
    const rows = session.people.map((one) => person(known.get(one.id), one));
    if (rows.length !== list.children.length || rows.some((row, at) => row !== list.children[at])) list.replaceChildren(...rows);
  };

  const local = (moment) => {
    const date = new Date(moment);
    return new Date(date - 60_000 * date.getTimezoneOffset()).toISOString().slice(0, 16);
  };

  const FIELDS = ["name", "guidelines", "suggestions"];
  const NUMBERS = ["votes_per_meme", "break_minutes", "break_exposure", "lease_seconds"];

  /* What a form says, as the server takes it. */
  const said = (form) => {
    const { leaderboard, open_until } = form.elements;
    return {
      ...Object.fromEntries(FIELDS.map((name) => [name, form.elements[name].value])),
      ...Object.fromEntries(NUMBERS.map((name) => [name, Number(form.elements[name].value)])),
      policy: Object.fromEntries([...form.querySelectorAll("[data-queue]")].map((box) => [box.dataset.queue, Number(box.value)])),
      leaderboard: leaderboard.checked,
      open_until: open_until.value && new Date(open_until.value).toISOString(),
    };
  };

  /* The same form once more, with the plan of a session in it. */
  const change = async (id, box) => {
    const found = await asked(`/${id}/plan`);
    if (!found) return complain("The server did not answer; close this part and open it again.");
    const form = plan.cloneNode(true);
    find("only-new", form).remove();
    find("only-change", form).hidden = false;
    for (const one of form.querySelectorAll("[id], label[for]")) {
      if (one.htmlFor) one.htmlFor += `-${id}`;
      else one.id += `-${id}`;
    }
    for (const name of [...FIELDS, ...NUMBERS]) form.elements[name].value = found[name];
    for (const share of form.querySelectorAll("[data-queue]")) share.value = found.policy[share.dataset.queue] ?? 0;
    form.elements.leaderboard.checked = found.leaderboard;
    form.elements.open_until.value = found.open_until ? local(found.open_until) : "";
    form.querySelector("[type=submit]").textContent = "Change the session";
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (await send(`/${id}/change`, said(form))) box.open = false;
    });
    find("change", box).replaceChildren(form);
  };

  const opened = async (id, box) => {
    const part = box.dataset.part;
    if (part === "change") await change(id, box);
    else if (part === "people") {
      for (const [who, words] of Object.entries((await asked(`/${id}/warnings`)) ?? {})) warnings.set(who, words);
      people(articles.get(id), current.get(id));
    } else await fill(part, id, box, complain);
  };

  const made = ({ id, open }) => {
    const article = find("one").content.cloneNode(true).firstElementChild;
    articles.set(id, article);
    for (const box of article.querySelectorAll("details")) {
      box.addEventListener("toggle", ({ target }) => {
        if (target !== box) return;
        if (box.open) opened(id, box);
        else if (box.dataset.part === "change") find("change", box).replaceChildren();
      });
    }
    article.querySelector("[data-part=picture]").open = open;
    const act = (name, action) => article.querySelector(`[data-act=${name}]`).addEventListener("click", action);
    act("invite", () => send(`/${id}/invites`));
    act("toggle", () => send(`/${id}/open`, { on: !current.get(id).open }));
    act("gold", async () => {
      const before = current.get(id).counts.gold;
      const sent = await send(`/${id}/gold`, { memes: before + 10 });
      if (sent && current.get(id).counts.gold === before) complain("No other meme of this session has an answer that everybody agrees on.");
    });
    return article;
  };

  const one = (session) => {
    const article = articles.get(session.id) ?? made(session);
    const { counts } = session;
    const share = counts.wanted ? (100 * counts.votes) / counts.wanted : 0;
    article.querySelector("h3").textContent = session.name;
    find("state", article).textContent =
      `${session.open ? "Open" : "Closed"} · ${counts.done} of ${counts.memes} memes done · ` +
      `${counts.people} people, ${counts.at_work} at work` +
      (counts.gold ? ` · ${counts.gold} memes with a known answer` : "");
    article.querySelector(".fill").style.width = `${share}%`;
    article.querySelector("[role=progressbar]").setAttribute("aria-valuenow", Math.round(share));
    article.querySelector(".percent").textContent = `${counts.votes} of ${counts.wanted}`;
    const links = find("links", article);
    const tokens = session.open ? session.invites.map(({ token }) => token).join(" ") : "";
    if (links.dataset.tokens !== tokens) {
      links.dataset.tokens = tokens;
      links.replaceChildren(...(session.open ? session.invites.map(link) : []));
    }
    article.querySelector("[data-part=people] summary").textContent = `People (${session.people.length})`;
    people(article, session);
    article.querySelector("[data-act=invite]").hidden = !session.open;
    article.querySelector("[data-act=gold]").hidden = !session.open;
    article.querySelector("[data-act=toggle]").textContent = session.open ? "Close" : "Open again";
    return article;
  };

  const look = async () => {
    const response = await fetch("sessions").catch(() => null);
    if (!response) return; /* what is on the page is as good as it was */
    root.hidden = !response.ok;
    if (root.hidden) {
      find("list").replaceChildren(); /* the next admin finds nothing of this one */
      articles.clear();
      drawn = "";
      return;
    }
    const found = await response.text();
    if (found === drawn) return;
    drawn = found;
    const sessions = JSON.parse(found);
    current.clear();
    for (const session of sessions) current.set(session.id, session);
    const list = find("list");
    const shown = sessions.map(one);
    if (shown.length !== list.children.length || shown.some((article, at) => article !== list.children[at])) list.replaceChildren(...shown);
    if (!sessions.length) find("new").open = true;
  };

  const chosen = () => {
    const { memes, most } = plan.elements;
    return {
      unlabelled: memes.value === "unlabelled",
      data_set: memes.value.startsWith("set ") ? memes.value.slice(4) : "",
      most: most.value ? Number(most.value) : null,
    };
  };

  const preview = async () => {
    const found = await asked("/preview", chosen());
    find("holds").textContent = found ? `It would hold ${found.memes.toLocaleString()} memes.` : "";
    const { memes } = plan.elements;
    for (const { name, memes: count } of found?.data_sets ?? []) {
      const option = [...memes.options].find(({ value }) => value === `set ${name}`) ?? element("option", "", memes);
      option.value = `set ${name}`;
      option.textContent = `those of the data set ${name.replace(/^import:/, "")} (${count.toLocaleString()})`;
    }
  };

  plan.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!(await send("", { ...said(plan), ...chosen() }))) return;
    plan.reset();
    find("new").open = false;
  });
  find("only-new", plan).addEventListener("change", preview);
  find("new").addEventListener("toggle", ({ target }) => target === find("new") && target.open && preview());

  window.memeapp.lookAtSessions = look;
  look();
  const every = (milliseconds, work) =>
    setInterval(() => root.isConnected && root.checkVisibility() && !document.hidden && work(), milliseconds);
  every(3_000, look);
  every(PICTURE_MS, () => {
    for (const [id, article] of articles) {
      const box = article.querySelector("[data-part=picture][open]");
      if (box && current.get(id)?.open) fill("picture", id, box, complain);
    }
  });
};
