/* What goes on around the meme: how far the session is, a word from the admin, the end of work. */
window.memeapp.labelling.around = (root) => {
  const parts = window.memeapp.labelling;
  const find = (name) => root.querySelector(`[data-${name}]`);
  let progress = null;
  let mine = 0;

  const tell = () => {
    find("judged").textContent = `${mine.toLocaleString("en")} judged`;
    if (!progress) return;
    find("progress").textContent = parts.progressInWords(progress, mine);
    const board = progress.leaderboard.map(({ name, judged }) => `${name} ${judged}`);
    find("board").textContent = board.join(" · ");
    find("board").hidden = !board.length;
  };

  /* Stays until it was read in this browser. */
  const warn = (words) => {
    find("warning-words").textContent = words;
    find("warning").hidden = !words || localStorage.memeappRead === words;
  };

  return {
    warn,
    read() {
      localStorage.memeappRead = find("warning-words").textContent;
      find("warning").hidden = true;
    },
    judged(count) {
      mine = count;
      tell();
    },
    async look() {
      progress = await parts.ask("progress");
      warn(progress.warning);
      tell();
    },
    async nothingLeft() {
      const { open, at_work: others, done, memes } = await parts.ask("progress").catch(() => ({}));
      const ended = open === false;
      find("empty-title").textContent = ended ? "The session has ended" : "Nothing for you right now";
      find("empty-words").textContent = ended
        ? "Everything you sent is kept. Thank you."
        : done < memes && others
          ? "Others are judging the last memes. Some may come back to you: look again in a minute."
          : "You have judged every meme that wants your answer. Thank you.";
    },
  };
};
