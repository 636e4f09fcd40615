/* The Annotate page: joins a session, shows a meme, sends what is said, shows the next one.
   What is shown as saved is on the server's disk. Texts enter the page as text, never as HTML. */
window.memeapp.label = (root) => {
  const parts = window.memeapp.labelling;
  const { element, button } = window.memeapp;
  const find = (name) => root.querySelector(`[data-${name}]`);
  const all = (name) => [...root.querySelectorAll(`[data-${name}]`)];
  const dialog = (name) => root.querySelector(`[data-dialog=${name}]`);
  const tab = (root.dataset.tab = parts.pageId());
  const invite = new URLSearchParams(location.search).get("join");
  const card = parts.card(root);
  const sitting = parts.sitting(root, card);
  const around = parts.around(root);

  let session = null;
  let wishes = {};
  let cards = []; /* the meme that is shown, and the one after it */
  let editing = null; /* the earlier answer that is being changed */
  let answered = null; /* the last answer, with what the model says of the meme */
  let undoKey = ""; /* of an undo that got no answer yet */
  let busy = false;

  const ask = (address, body) => parts.ask(address, body && { tab, since: sitting.since(), ...body });

  const complain = (sentence) => {
    find("problem").textContent = sentence;
    find("problem").hidden = !sentence;
  };

  /* One thing at a time: keys that come while the server works are not for the next meme. */
  const atOnce = async (work) => {
    if (busy) return;
    busy = true;
    const slow = setTimeout(() => card.form.setAttribute("aria-busy", "true"), 400);
    try {
      await work();
      complain("");
    } catch (error) {
      if (error.status === 401 || error.status === 404) await begin();
      complain(error.message);
    } finally {
      clearTimeout(slow);
      card.form.removeAttribute("aria-busy");
      busy = false;
    }
  };

  /* ---- Showing ---- */

  const view = (name) => {
    for (const section of all("view")) section.hidden = section.dataset.view !== name;
  };

  const show = (shown, before = null) => {
    editing = before;
    card.show(shown, before);
    find("empty").hidden = Boolean(shown);
  };

  const load = ({ cards: fresh, judged, exposure }) => {
    cards = fresh;
    sitting.exposed(exposure);
    around.judged(judged);
    if (cards[1]) new Image().src = `media/${cards[1].meme}`;
    if (!cards[0]) around.nothingLeft();
  };

  /* The server wrote this HTML from Markdown, with everything in it escaped. */
  const guidelines = (html) => {
    for (const place of all("guidelines")) place.innerHTML = html || "<p>There are none yet.</p>";
    find("guidelines-box").hidden = !html;
  };

  const named = (name) => {
    for (const place of all("session")) place.textContent = name;
  };

  /* ---- Coming and going ---- */

  const begin = async () => {
    try {
      const whose = await back.asked();
      if (whose) {
        named(whose.session);
        find("back-name").textContent = whose.name;
        return view("back");
      }
    } catch (error) {
      complain(error.message); /* and go on as who this browser is */
    }
    try {
      const opened = await ask("open", {});
      /* The link leads into another session than the one this browser is in. */
      const invited = invite && (await ask(`invite/${encodeURIComponent(invite)}`).catch(() => null));
      if (invited && invited.name !== opened.session.name) return await outside();
      ({ session, preferences: wishes } = opened);
      card.setWishes(wishes);
      named(session.name);
      find("name").textContent = opened.name;
      for (const box of all("wish")) box.checked = wishes[box.dataset.wish];
      for (const box of all("avoid")) box.checked = wishes.avoid.includes(box.dataset.avoid);
      guidelines(session.guidelines);
      around.warn(opened.warning);
      view("work");
      load(opened);
      show(cards[0]);
      around.look().catch(() => {});
    } catch (error) {
      session = null;
      if (error.status === 403 || !error.status) complain(error.message);
      await outside();
    }
  };

  const outside = async () => {
    if (!invite) return view("outside");
    try {
      const { name, guidelines: html } = await ask(`invite/${encodeURIComponent(invite)}`);
      named(name);
      guidelines(html);
      view("join");
    } catch (error) {
      complain(error.message);
      view("outside");
    }
  };

  find("join").addEventListener("submit", (event) => {
    event.preventDefault();
    atOnce(async () => {
      await ask("join", { invite, name: find("join").elements.name.value });
      sitting.restart();
      await begin();
      if (!session)
        throw new Error("The browser did not keep the cookie that says who you are; allow cookies for this site.");
    });
  });

  const leave = () =>
    atOnce(async () => {
      await ask("close", {});
      await window.memeapp.post("auth/leave", { role: "annotator" });
      cards = [];
      await begin();
    });

  const back = parts.back(root, atOnce, begin);

  /* ---- Judging ---- */

  const judge = (kind, reason = "") =>
    atOnce(async () => {
      if (card.form.hidden) return;
      if (kind !== "skip" && card.unseen()) throw new Error(card.unseen());
      card.cover(true);
      const shown = editing ? editing.card : cards[0];
      const replaces = editing && !editing.undone ? editing.id : null;
      let answer;
      try {
        answer = await ask("vote", { ...card.said(kind), kind, reason, replaces });
      } catch (error) {
        if (error.status !== 409) throw error;
        /* Judged in another tab, or full: go on, and say so. */
        load(await ask("next", {}));
        show(cards[0]);
        throw error;
      }
      undoKey = "";
      sitting.judged();
      said(answer, shown);
      load(answer);
      show(cards[0]);
      sitting.remind(session);
    });

  const said = ({ saved, suggestion }, shown) => {
    const words = {
      vote: `You said: ${card.inWords(saved.labels)}.`,
      unsure: "You said: not sure.",
      skip: "Skipped.",
      surplus:
        saved.reason === "closed"
          ? "The session had ended: your answer is kept, and not counted."
          : "Others were quicker: this meme has all its answers. Yours is kept, and not counted.",
    }[saved.kind];
    answered = ["vote", "unsure"].includes(saved.kind) ? { ...saved, card: shown, suggestion } : null;
    find("answer-words").textContent =
      words + (suggestion ? ` The model says: ${card.chances(suggestion)}.` : "");
    find("answer").hidden = false;
    root.querySelector("[data-do=change]").hidden = !(answered && suggestion);
    find("said").textContent = words;
  };

  const edit = (vote) => {
    const fresh = { ...vote.card, key: window.memeapp.newKey(), suggestion: vote.suggestion };
    show(fresh, { ...vote, card: fresh });
  };

  const undo = () =>
    atOnce(async () => {
      if (editing && !editing.undone) return show(cards[0]);
      undoKey ||= window.memeapp.newKey();
      const answer = await ask("undo", { key: undoKey });
      undoKey = "";
      load(answer);
      find("answer").hidden = true;
      if (!answer.undone) throw new Error("There is nothing to take back.");
      const before = answer.undone;
      show(cards[0], cards[0]?.meme === before.meme ? { ...before, card: cards[0], undone: true } : null);
      find("said").textContent = "Taken back; judge it again.";
    });

  const history = () =>
    atOnce(async () => {
      const votes = await ask("history");
      find("history").replaceChildren(
        ...votes.map((vote) => {
          const row = element("li", "");
          element("span", vote.card.text || "(no text known)", row).dir = "auto";
          element("strong", { vote: card.inWords(vote.labels), unsure: "not sure", skip: "skipped" }[vote.kind], row);
          const change = () => {
            dialog("history").close();
            edit(vote);
          };
          button("Change", change, row);
          return row;
        }),
      );
      find("history-words").textContent = votes.length
        ? "Change any of them; the first answer is kept beside the new one."
        : "There are none yet.";
      dialog("history").showModal();
    });

  for (const box of [...all("wish"), ...all("avoid")])
    box.addEventListener("change", () =>
      atOnce(async () => {
        for (const wish of all("wish")) wishes[wish.dataset.wish] = wish.checked;
        wishes.avoid = all("avoid").filter((kind) => kind.checked).map((kind) => kind.dataset.avoid);
        load(await ask("preferences", { ...wishes }));
        show(cards[0]);
      }),
    );

  const again = () =>
    atOnce(async () => {
      load(await ask("next", {}));
      show(cards[0]);
      await around.look();
    });

  const actions = {
    ...back.actions,
    undo,
    history,
    leave,
    again,
    read: around.read,
    unsure: () => judge("unsure"),
    change: () => answered && edit(answered),
    picture: card.reload,
    skip: () => dialog("skip").showModal(),
    guidelines: () => dialog("guidelines").showModal(),
    settings: () => dialog("settings").showModal(),
    help: () => dialog("help").showModal(),
  };
  parts.hands(root, card, actions, judge);

  /* Kept while the page is open, given back when it goes. */
  setInterval(() => {
    if (!session || document.hidden) return;
    ask("renew", {}).catch(() => {});
    around.look().catch(() => {});
    sitting.remind(session);
  }, 30_000);
  addEventListener("pagehide", (event) => {
    const body = new Blob([JSON.stringify({ tab })], { type: "application/json" });
    if (session && !event.persisted) navigator.sendBeacon("label/close", body);
  });

  begin();
};

/* Who comes by a link wants the Annotate page; gradio draws it when its tab is first opened. */
if (["join", "back"].some((link) => new URLSearchParams(location.search).has(link))) {
  const looking = new MutationObserver(() => {
    const tab = document.querySelector("#tab-annotate-button");
    if (!tab) return;
    looking.disconnect();
    tab.click();
  });
  looking.observe(document, { childList: true, subtree: true });
}
