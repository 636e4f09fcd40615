/* Keys, mouse and fingers of the Annotate page. `actions` are by the names that buttons carry in
   `data-do`; `judge(kind, reason)` sends an answer. */
window.memeapp.labelling.hands = (root, card, actions, judge) => {
  const dialog = (name) => root.querySelector(`[data-dialog=${name}]`);
  const letters = { u: "undo", s: "skip", n: "unsure", c: "change", "?": "help" };

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

  card.form.addEventListener("submit", (event) => {
    event.preventDefault();
    judge("vote");
  });

  /* Hold to look for a moment; a short press keeps it open. */
  const reveal = root.querySelector("[data-reveal]");
  let heldSince = 0;
  reveal.addEventListener("pointerdown", () => {
    heldSince = card.isOpen() ? 0 : performance.now();
    if (!card.isOpen()) card.cover(false);
  });
  const letGo = () => {
    if (heldSince && performance.now() - heldSince > 350) {
      card.cover(true);
      heldSince = 0;
    }
  };
  reveal.addEventListener("pointerup", letGo);
  reveal.addEventListener("pointerleave", letGo);
  reveal.addEventListener("click", (event) => {
    if (heldSince) heldSince = 0; /* opened by this press */
    else if (event.detail === 0 || card.isOpen()) card.cover(card.isOpen());
  });

  const inDialog = (opened, key) => {
    if (opened.dataset.dialog !== "skip" || !/^[1-9]$/.test(key)) return false;
    const choice = opened.querySelectorAll("[data-reason]")[key - 1];
    choice?.click();
    return Boolean(choice);
  };

  const onCard = (key, target) => {
    const box = /^[1-9]$/.test(key) && card.box(key);
    if (box) box.click();
    else if (key === "r") card.cover(card.isOpen());
    else if (key === "z") card.takeBack();
    else if (letters[key]) actions[letters[key]]();
    else if (key === "Enter" && !target.closest?.("button, a, summary")) judge("vote");
    else return false;
    return true;
  };

  document.addEventListener("keydown", (event) => {
    if (!root.isConnected || !card.form.checkVisibility()) return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const opened = root.querySelector("dialog[open]");
    const writing = "textarea, select, [contenteditable=true], input:not([type=checkbox])";
    if (!opened && event.target.closest?.(writing)) return;
    if (opened ? inDialog(opened, key) : onCard(key, event.target)) event.preventDefault();
  });
};
