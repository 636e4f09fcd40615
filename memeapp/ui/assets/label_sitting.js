/* How long somebody has been at it without a break, and when to propose one. A refresh is no break;
   to be away from the page for five minutes, or to judge nothing for ten, is one. */
window.memeapp.labelling.sitting = (root, card) => {
  const { counted } = window.memeapp.labelling;
  const AWAY = 5 * 60_000;
  const IDLE = 10 * 60_000;
  const dialog = root.querySelector("[data-dialog=break]");
  const words = root.querySelector("[data-break-words]");
  let exposure = 0; /* seconds of looking in this sitting, weighed by severity */
  let hiddenAt = document.hidden ? Date.now() : 0;
  let { since, last } = JSON.parse(sessionStorage.memeappSitting ?? "{}");

  const keep = () => (sessionStorage.memeappSitting = JSON.stringify({ since, last }));

  const restart = () => {
    since = last = Date.now();
    exposure = 0;
    keep();
  };

  const restartIfRested = () => {
    if (!(Date.now() - last < IDLE)) restart();
  };

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) hiddenAt = Date.now();
    else if (hiddenAt && Date.now() - hiddenAt >= AWAY) restart();
    if (!document.hidden) hiddenAt = 0;
  });
  dialog.addEventListener("close", restart);
  restartIfRested();

  return {
    restart,
    /* When it began, in seconds since 1970. */
    since() {
      restartIfRested();
      return since / 1000;
    },
    exposed(seconds) {
      exposure = seconds;
    },
    judged() {
      last = Date.now();
      keep();
    },
    /* Propose a break if the session's bounds are reached. */
    remind({ break_minutes: longest, break_exposure: most }) {
      restartIfRested();
      const minutes = (Date.now() - since) / 60_000;
      if (dialog.open || (minutes < longest && exposure < most)) return;
      words.textContent =
        minutes >= longest
          ? `You have been at it for ${counted(Math.round(minutes), "minute")}.`
          : "You have looked at a good deal of severe content.";
      card.cover(true);
      dialog.showModal();
    },
  };
};
