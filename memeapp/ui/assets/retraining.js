/* The admin's card of trainings that start by themselves, tokens, and the dry run. Names and
   sentences enter the page as text. */
window.memeapp.retraining = (root) => {
  const TICK_MS = 15_000;
  const LEFT_OUT = {
    "held out": "on memes that are held out to measure on",
    excluded: "of people who are left out",
    seen: "said beside or after the model's answer",
    replaced: "changed or taken back later",
    unsure: "not sure, or skipped",
    surplus: "came when the meme had all its answers",
  };
  const { element, button } = window.memeapp;
  const find = (name) => root.querySelector(`[data-${name}]`);
  const when = find("when");
  const make = find("make");
  const dialog = find("dry");
  let drawn = "";
  let edited = false;

  const complain = (sentence) => {
    find("trouble").textContent = sentence;
    find("trouble").hidden = !sentence;
    if (sentence) find("trouble").scrollIntoView({ block: "nearest" });
  };

  const send = async (address, body = {}) => {
    const sentence = await window.memeapp.post(`retraining${address}`, body);
    complain(sentence);
    await look();
    return !sentence;
  };

  /* The answer to JSON that is sent, or null and a sentence on the page. */
  const asked = async (address, body) => {
    const response = await fetch(`retraining${address}`, window.memeapp.asJson(body)).catch(() => null);
    const answer = await response?.json().catch(() => ({}));
    const trouble = typeof answer?.detail === "string" ? answer.detail : "The server cannot be reached; try again.";
    complain(response?.ok ? "" : trouble);
    return response?.ok ? answer : null;
  };

  const chosen = () =>
    Object.fromEntries(["encoder", "aggregation", "votes"].map((name) => [name, document.querySelector(`#admin-${name}`)?.value ?? ""]));

  const time = (moment) => new Date(moment).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

  const token = (one) => {
    const row = element("li", "", find("tokens"));
    const gone = one.revoked_at ? "revoked" : one.expired ? "expired" : "";
    const used = one.last_used_at ? `last used ${time(one.last_used_at)}` : "never used";
    const until = one.expires_at ? `, until ${time(one.expires_at)}` : "";
    element("span", `${one.name} · ${one.scopes.join(", ")} · ${gone || `${used}${until}`}`, row);
    if (!gone) button("Revoke", () => send(`/tokens/${one.id}/revoke`), row).setAttribute("aria-label", `Revoke the token of ${one.name}`);
  };

  const show = ({ when: set, new_labels: fresh, zone, tokens }) => {
    if (!edited) {
      when.elements.after.value = set.after_labels ?? "";
      when.elements.at.value = set.daily_at ?? "";
    }
    find("new").textContent = `${fresh.toLocaleString()} since the last training.`;
    find("zone").textContent = `(the server's time, ${zone})`;
    find("how").textContent = `Now: ${set.encoder || "the usual encoder"}, ${set.aggregation}, ${set.votes} votes.`;
    find("told").textContent = set.told_at ? `${time(set.told_at)}: ${set.told}` : "";
    find("tokens").replaceChildren();
    tokens.forEach(token);
  };

  const look = async () => {
    const response = await fetch("retraining").catch(() => null);
    if (!response) return; /* what was seen last stays */
    root.hidden = !response.ok;
    if (root.hidden) return hide();
    const found = await response.text();
    if (found === drawn) return;
    drawn = found;
    show(JSON.parse(found));
  };

  const hide = () => {
    find("made").hidden = true;
    find("key").textContent = "";
  };

  const pairs = (within, values) => {
    within.replaceChildren();
    for (const [name, value] of values) {
      const pair = element("div", "", within);
      element("dt", name, pair);
      element("dd", value.toLocaleString(), pair);
    }
  };

  const lines = (within, sentences) => {
    within.replaceChildren();
    for (const sentence of sentences.length ? sentences : ["none"]) element("li", sentence, within);
  };

  const lasting = (seconds) => {
    if (seconds === null) return "How long it takes is known once a training has ended here.";
    return `It takes about ${seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`}.`;
  };

  const dry = async () => {
    const found = await asked("/dry-run", chosen());
    if (!found) return;
    find("dry-words").textContent = found.why_not || "It can start now.";
    find("dry-words").classList.toggle("problem", Boolean(found.why_not));
    pairs(find("dry-counts"), [
      ["Labelled", found.labelled], ["Unlabelled", found.unlabelled], ["Held out, labelled", found.held_out_labelled],
      ["Judgements", found.vote_count], ["Newly judged", found.new_labels], ["To read", found.to_read], ["To encode", found.to_encode],
    ]);
    lines(find("dry-positives"), Object.entries(found.positives).map(([name, count]) => `${found.titles[name]}: ${count.toLocaleString()} of ${found.labelled.toLocaleString()}`));
    lines(find("dry-left-out"), Object.entries(found.left_out).map(([why, count]) => `${count.toLocaleString()} ${LEFT_OUT[why] ?? why}`));
    find("dry-how").textContent = `Encoder ${found.encoder}, recipe ${found.recipe}, ${found.aggregation} of ${found.votes} votes; ${found.parent ? `compared with ${found.parent}, since which the newly judged count` : "the first version"}. ${lasting(found.seconds)}`;
    dialog.showModal();
  };

  when.addEventListener("input", () => (edited = true));
  when.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { after, at } = when.elements;
    edited = !(await send("", { after_labels: after.value ? Number(after.value) : null, daily_at: at.value || null, ...chosen() }));
    if (!edited) drawn = "";
    await look();
  });
  make.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { name, days, scope } = make.elements;
    const made = await asked("/tokens", { name: name.value, scope: scope.value, days: days.value ? Number(days.value) : null });
    if (!made) return;
    make.reset();
    find("made-name").textContent = made.name;
    find("key").textContent = made.key;
    find("copy").textContent = "Copy";
    find("made").hidden = false;
    await look();
  });
  find("copy").addEventListener("click", async () => {
    const key = find("key");
    getSelection().selectAllChildren(key); /* for browsers that keep the clipboard from us */
    const copied = await navigator.clipboard?.writeText(key.textContent).then(() => true, () => false);
    find("copy").textContent = copied ? "Copied" : "Selected: copy it by hand";
  });
  find("hide").addEventListener("click", hide);
  find("close").addEventListener("click", () => dialog.close());
  /* The button lies on the dashboard, which is drawn again and again. */
  document.addEventListener("click", ({ target }) => {
    if (target.closest("[data-ask-dry]")) dry();
  });

  window.memeapp.lookAtRetraining = look;
  look();
  setInterval(() => {
    if (root.isConnected && !document.hidden && root.checkVisibility()) look();
  }, TICK_MS);
};
