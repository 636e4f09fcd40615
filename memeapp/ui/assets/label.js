/* The Annotate page: joins a session, shows a meme, sends what is said, shows the next one.
   What is shown as saved is on the server's disk. Texts enter the page as text, never as HTML. */
window.memeapp.label = (root) => {
  const find = (name, at = root) => at.querySelector(`[data-${name}]`);
  const all = (name, at = root) => [...at.querySelectorAll(`[data-${name}]`)];
  const labels = JSON.parse(root.dataset.labels);
  const parent = root.dataset.parent;
  const titles = Object.fromEntries(
    [...root.querySelectorAll("fieldset .tick")].map((tick) => [
      tick.querySelector("input").name,
      tick.querySelector(".tick-title").textContent,
    ]),
  );
  const tab = (sessionStorage.memeappTab ??= crypto.randomUUID?.() ?? `tab-${Math.random().toString(36).slice(2)}-${Date.now()}`);
  const invite = new URLSearchParams(location.search).get("join");
  const form = find("card");
  const figure = find("figure");
  const picture = find("picture");

  let session = null;
  let wishes = {};
  let cards = []; /* the meme that is shown, and the one after it */
  let editing = null; /* the earlier answer that is being changed */
  let answered = null; /* the last answer, with what the model says of the meme */
  let shownAt = 0;
  let open = false; /* is the picture uncovered? */
  let openedAt = 0;
  let looked = 0; /* milliseconds of looking at this meme's picture */
  let everOpened = false;
  let changes = []; /* ticks before each change, for Z */
  let busy = false;
  let sittingSince = Date.now();
  let exposure = 0;

  /* ---- Talking to the server ---- */

  const ask = async (address, body) => {
    const options = body && {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    };
    /* A connection can break at any moment. What is sent twice counts once; only to join twice
       would make two people. */
    const once = () => fetch(`label/${address}`, options);
    const response = await once()
      .catch((broken) => (address === "join" ? Promise.reject(broken) : once()))
      .catch(() => {
        throw new Error("The server cannot be reached. Nothing is lost: try again.");
      });
    if (response.ok) return response.json();
    const { detail } = await response.json().catch(() => ({}));
    const sentence =
      typeof detail === "string" ? detail : `The server did not accept that (${response.status}).`;
    throw Object.assign(new Error(sentence), { status: response.status });
  };

  const complain = (sentence) => {
    find("problem").textContent = sentence;
    find("problem").hidden = !sentence;
  };

  /* One thing at a time: keys that come while the server works are not for the next meme. */
  const atOnce = async (work) => {
    if (busy) return;
    busy = true;
    try {
      await work();
      complain("");
    } catch (error) {
      if (error.status === 401 || error.status === 404) await begin();
      complain(error.message);
    } finally {
      busy = false;
    }
  };

  /* ---- Showing ---- */

  const view = (name) => {
    for (const section of all("view")) section.hidden = section.dataset.view !== name;
  };

  const cover = (covered) => {
    if (!covered && !open) {
      openedAt = performance.now();
      everOpened = true;
    }
    if (covered && open) looked += performance.now() - openedAt;
    open = !covered;
    figure.classList.toggle("covered", covered && wishes.blur);
    figure.classList.toggle("away", covered && wishes.text_first);
    figure.classList.toggle("grey", wishes.greyscale);
    const button = find("reveal");
    button.setAttribute("aria-pressed", String(!covered));
    button.firstChild.textContent = covered ? "Show the picture" : "Cover the picture";
  };

  const ticked = () => form.querySelectorAll("fieldset input");
  const ticks = () => Object.fromEntries([...ticked()].map((box) => [box.name, box.checked]));
  const setTicks = (said) => {
    for (const box of ticked()) box.checked = Boolean(said[box.name]);
  };

  const inWords = (says) => {
    const yes = labels.filter((label) => says[label]);
    return yes.length ? yes.map((label) => titles[label]).join(", ") : `not ${titles[parent].toLowerCase()}`;
  };

  const chances = ({ says, chances: chance }) =>
    `${inWords(says)} (${titles[parent].toLowerCase()}: ${Math.round(100 * chance[parent])} %)`;

  const show = (card, before = null) => {
    editing = before;
    form.reset();
    find("extra").open = false;
    changes = [];
    looked = 0;
    everOpened = false;
    open = false;
    shownAt = performance.now();
    form.hidden = !card;
    find("empty").hidden = Boolean(card);
    if (!card) return;
    picture.width = card.width;
    picture.height = card.height;
    picture.src = `media/${card.meme}`;
    find("text").textContent = card.text || "(no text known)";
    find("corrected").value = card.text;
    const suggestion = card.suggestion;
    find("hint").textContent = suggestion ? `The model says: ${chances(suggestion)}` : "";
    find("hint").hidden = !suggestion;
    if (before) {
      setTicks(before.labels);
      find("note").value = before.note;
      find("harm").value = before.harm;
      if (before.text !== null) find("corrected").value = before.text;
    }
    find("submit").firstChild.textContent = before ? "Save the change " : "Save and next ";
    cover(wishes.blur || wishes.text_first);
    if (form.getBoundingClientRect().top < 0) form.scrollIntoView();
  };

  const load = ({ cards: fresh, judged, exposure: seen }) => {
    const kept = cards[0]?.meme;
    cards = fresh;
    find("judged").textContent = `${judged} judged`;
    if (seen !== undefined) exposure = seen;
    if (cards[1]) new Image().src = `media/${cards[1].meme}`;
    if (!cards[0]) nothingLeft();
    return kept;
  };

  const nothingLeft = async () => {
    const { open: going, at_work: others, done, memes } = await ask("progress").catch(() => ({}));
    find("empty-words").textContent =
      going === false
        ? "The session has ended. Everything you sent is kept. Thank you."
        : done < memes && others
          ? "Others are judging the last memes. Some may come back to you: look again in a minute."
          : "You have judged every meme that wants your answer. Thank you.";
  };

  const tell = async () => {
    const { memes, done, at_work: others, leaderboard } = await ask("progress");
    const people = others === 1 ? "1 person" : `${others} people`;
    const board = leaderboard.map(({ name, judged }) => `${name} ${judged}`).join(" · ");
    find("progress").textContent =
      `${done} of ${memes} memes are done · ${people} at work${board && ` · ${board}`}`;
  };

  const remind = () => {
    const minutes = (Date.now() - sittingSince) / 60_000;
    const dialog = root.querySelector("[data-dialog=break]");
    if (dialog.open || !session) return;
    const byTime = minutes >= session.break_minutes;
    if (!byTime && exposure < session.break_exposure) return;
    find("break-words").textContent = byTime
      ? `You have been at it for ${Math.round(minutes)} minutes.`
      : "You have looked at a good deal of severe content.";
    cover(true);
    dialog.showModal();
    dialog.addEventListener(
      "close",
      () => {
        sittingSince = Date.now();
        exposure = 0;
      },
      { once: true },
    );
  };

  /* ---- Doing ---- */

  const begin = async () => {
    try {
      const opened = await ask("open", { tab, since: sittingSince / 1000 });
      /* The link leads into another session than the one this browser is in. */
      const invited = invite && (await ask(`invite/${encodeURIComponent(invite)}`).catch(() => null));
      if (invited && invited.name !== opened.session.name) return await outside();
      ({ session, preferences: wishes } = opened);
      for (const place of all("session")) place.textContent = session.name;
      find("name").textContent = opened.name;
      for (const box of all("wish")) box.checked = wishes[box.dataset.wish];
      for (const box of all("avoid")) box.checked = wishes.avoid.includes(box.dataset.avoid);
      guidelines(session.guidelines);
      view("work");
      load(opened);
      show(cards[0]);
      tell().catch(() => {});
    } catch (error) {
      session = null;
      if (error.status === 403) complain(error.message);
      await outside();
    }
  };

  const outside = async () => {
    if (!invite) return view("outside");
    try {
      const { name, guidelines: html } = await ask(`invite/${encodeURIComponent(invite)}`);
      for (const place of all("session")) place.textContent = name;
      guidelines(html);
      view("join");
    } catch (error) {
      complain(error.message);
      view("outside");
    }
  };

  /* The server wrote this HTML from Markdown, with everything in it escaped. */
  const guidelines = (html) => {
    for (const place of all("guidelines")) place.innerHTML = html || "<p>There are none yet.</p>";
    find("guidelines-box").hidden = !html;
  };

  const judge = (kind, reason = "") =>
    atOnce(async () => {
      const card = editing ? editing.card : cards[0];
      if (!card) return;
      cover(true);
      const corrected = find("corrected").value.trim();
      const sent = {
        tab,
        meme: card.meme,
        key: card.key,
        kind,
        reason,
        labels: kind === "vote" ? ticks() : {},
        note: find("note").value,
        harm: find("harm").value,
        text: corrected === card.text.trim() ? null : corrected,
        seconds: (performance.now() - shownAt) / 1000,
        revealed: everOpened,
        revealed_seconds: looked / 1000,
        replaces: editing && !editing.undone ? editing.id : null,
        since: sittingSince / 1000,
      };
      let answer;
      try {
        answer = await ask("vote", sent);
      } catch (error) {
        if (error.status !== 409) throw error;
        /* Judged in another tab, or full: go on, and say so. */
        load(await ask("next", { tab, since: sittingSince / 1000 }));
        show(cards[0]);
        throw error;
      }
      said(answer, card);
      load(answer);
      show(cards[0]);
      remind();
    });

  const said = ({ saved, suggestion }, card) => {
    const words = {
      vote: `You said: ${inWords(saved.labels)}.`,
      unsure: "You said: not sure.",
      skip: "Skipped.",
      surplus:
        saved.reason === "closed"
          ? "The session had ended: your answer is kept, and not counted."
          : "Others were quicker: this meme has all its answers. Yours is kept, and not counted.",
    }[saved.kind];
    answered = ["vote", "unsure"].includes(saved.kind) ? { ...saved, card, suggestion } : null;
    find("answer-words").textContent =
      words + (suggestion ? ` The model says: ${chances(suggestion)}.` : "");
    find("answer").hidden = false;
    root.querySelector("[data-do=change]").hidden = !(answered && suggestion);
    find("said").textContent = words;
  };

  const change = () => {
    if (answered) edit(answered);
  };

  const edit = (vote) => {
    const fresh = { ...vote.card, key: window.memeapp.newKey(), suggestion: vote.suggestion };
    show(fresh, { ...vote, card: fresh });
  };

  const undo = () =>
    atOnce(async () => {
      if (editing && !editing.undone) {
        show(cards[0]);
        return;
      }
      const answer = await ask("undo", { tab, key: window.memeapp.newKey(), since: sittingSince / 1000 });
      load(answer);
      find("answer").hidden = true;
      if (!answer.undone) throw new Error("There is nothing to take back.");
      const before = answer.undone;
      show(cards[0], cards[0]?.meme === before.meme ? { ...before, card: cards[0], undone: true } : null);
      find("said").textContent = "Taken back; judge it again.";
    });

  const dialog = (name) => root.querySelector(`[data-dialog=${name}]`);

  const history = () =>
    atOnce(async () => {
      const votes = await ask("history");
      find("history").replaceChildren(
        ...votes.map((vote) => {
          const row = document.createElement("li");
          const text = document.createElement("span");
          text.textContent = vote.card.text || "(no text known)";
          const words = document.createElement("strong");
          words.textContent = { vote: inWords(vote.labels), unsure: "not sure", skip: "skipped" }[vote.kind];
          const button = document.createElement("button");
          button.type = "button";
          button.textContent = "Change";
          button.addEventListener("click", () => {
            dialog("history").close();
            edit(vote);
          });
          row.append(text, words, button);
          return row;
        }),
      );
      dialog("history").showModal();
    });

  const leave = () =>
    atOnce(async () => {
      await ask("close", { tab });
      await window.memeapp.post("auth/leave", { role: "annotator" });
      cards = [];
      await begin();
    });

  const actions = {
    unsure: () => judge("unsure"),
    skip: () => dialog("skip").showModal(),
    undo,
    change,
    history,
    leave,
    guidelines: () => dialog("guidelines").showModal(),
    settings: () => dialog("settings").showModal(),
    help: () => dialog("help").showModal(),
    again: () =>
      atOnce(async () => {
        load(await ask("next", { tab, since: sittingSince / 1000 }));
        show(cards[0]);
        await tell();
      }),
  };

  /* ---- Hands ---- */

  root.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (!button) return;
    if ("close" in button.dataset) button.closest("dialog").close();
    else if (button.dataset.do) actions[button.dataset.do]();
    else if (button.dataset.reason) {
      dialog("skip").close();
      judge("skip", button.dataset.reason);
    }
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    judge("vote");
  });

  find("join").addEventListener("submit", (event) => {
    event.preventDefault();
    atOnce(async () => {
      await ask("join", { invite, name: find("join").elements.name.value });
      sittingSince = Date.now();
      await begin();
      if (!session)
        throw new Error("The browser did not keep the cookie that says who you are; allow cookies for this site.");
    });
  });

  /* A kind implies the parent label; without the parent there is no kind. */
  form.addEventListener("change", ({ target }) => {
    if (!target.closest("fieldset")) return;
    const before = { ...ticks(), [target.name]: !target.checked };
    changes.push(before);
    if (target.name === parent) {
      if (!target.checked) setTicks({});
    } else if (target.checked) setTicks({ ...ticks(), [parent]: true });
  });

  /* Hold to look for a moment; a short press keeps it open. */
  const reveal = find("reveal");
  let heldSince = 0;
  reveal.addEventListener("pointerdown", () => {
    heldSince = open ? 0 : performance.now();
    if (!open) cover(false);
  });
  const letGo = () => {
    if (heldSince && performance.now() - heldSince > 350) {
      cover(true);
      heldSince = 0;
    }
  };
  reveal.addEventListener("pointerup", letGo);
  reveal.addEventListener("pointerleave", letGo);
  reveal.addEventListener("click", (event) => {
    if (heldSince) heldSince = 0; /* opened by this press */
    else if (event.detail === 0 || open) cover(open);
  });

  for (const box of [...all("wish"), ...all("avoid")])
    box.addEventListener("change", () =>
      atOnce(async () => {
        for (const wish of all("wish")) wishes[wish.dataset.wish] = wish.checked;
        wishes.avoid = all("avoid").filter((kind) => kind.checked).map((kind) => kind.dataset.avoid);
        load(await ask("preferences", { tab, ...wishes, since: sittingSince / 1000 }));
        show(cards[0]);
      }),
    );

  document.addEventListener("keydown", (event) => {
    if (!root.isConnected || !form.checkVisibility() || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const writing = event.target.closest?.("textarea, select, [contenteditable=true], input:not([type=checkbox])");
    const opened = root.querySelector("dialog[open]");
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (opened) {
      const choice = opened.dataset.dialog === "skip" && /^[1-9]$/.test(key) && all("reason", opened)[key - 1];
      if (choice) {
        event.preventDefault();
        choice.click();
      }
      return;
    }
    if (writing) return;
    const box = /^[1-9]$/.test(key) && ticked()[key - 1];
    const letters = { u: "undo", s: "skip", n: "unsure", c: "change", "?": "help" };
    if (box) box.click();
    else if (key === "r") cover(open);
    else if (key === "z") {
      if (changes.length) setTicks(changes.pop());
    } else if (letters[key]) actions[letters[key]]();
    else if (key === "Enter" && !event.target.closest?.("button, a, summary")) judge("vote");
    else return;
    event.preventDefault();
  });

  /* Kept while the page is open, given back when it goes. */
  setInterval(() => {
    if (!session || document.hidden) return;
    ask("renew", { tab }).catch(() => {});
    tell().catch(() => {});
    remind();
  }, 30_000);
  addEventListener("pagehide", (event) => {
    const body = new Blob([JSON.stringify({ tab })], { type: "application/json" });
    if (session && !event.persisted) navigator.sendBeacon("label/close", body);
  });

  begin();
};

/* Who comes by an invite wants the Annotate page; gradio draws it when its tab is first opened. */
if (new URLSearchParams(location.search).has("join")) {
  const looking = new MutationObserver(() => {
    const tab = document.querySelector("#tab-annotate-button");
    if (!tab) return;
    looking.disconnect();
    tab.click();
  });
  looking.observe(document, { childList: true, subtree: true });
}
