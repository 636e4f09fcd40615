/* The meme that is judged: its picture under a cover, its text, the ticks and what goes with them.
   Texts enter the page as text, never as HTML. */
window.memeapp.labelling.card = (root) => {
  const find = (name) => root.querySelector(`[data-${name}]`);
  const labels = JSON.parse(root.dataset.labels);
  const parent = root.dataset.parent;
  const form = find("card");
  const figure = find("figure");
  const picture = find("picture");
  const titles = Object.fromEntries(
    [...form.querySelectorAll("fieldset .tick")].map((tick) => [
      tick.querySelector("input").name,
      tick.querySelector(".tick-title").textContent,
    ]),
  );

  let wishes = {};
  let shown = null;
  let shownAt = 0;
  let open = false; /* is the picture uncovered? */
  let openedAt = 0;
  let looked = 0; /* milliseconds of looking at this meme's picture */
  let everOpened = false;
  let changes = []; /* ticks before each change, for Z */

  /* ---- The picture ---- */

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

  const broken = (yes) => {
    figure.classList.toggle("broken", yes);
    find("broken").hidden = !yes;
  };

  const load = () => {
    broken(false);
    picture.src = `media/${shown.meme}`;
  };

  /* A sentence if the picture is not to be seen though it should be; judging has to wait then. */
  const unseen = () => {
    if (!find("broken").hidden)
      return "The picture did not load, so this meme cannot be judged yet. Try again, or skip it.";
    if (open && !picture.complete) return "The picture is still loading; give it a moment.";
    return "";
  };

  picture.addEventListener("error", () => broken(true));
  picture.addEventListener("load", () => broken(false));

  /* ---- The ticks ---- */

  const ticked = () => form.querySelectorAll("fieldset input");
  const ticks = () => Object.fromEntries([...ticked()].map((box) => [box.name, box.checked]));
  const setTicks = (said) => {
    for (const box of ticked()) box.checked = Boolean(said[box.name]);
  };

  /* A kind implies the parent label; without the parent there is no kind. */
  form.addEventListener("change", ({ target }) => {
    if (!target.closest("fieldset")) return;
    changes.push({ ...ticks(), [target.name]: !target.checked });
    if (target.name === parent) {
      if (!target.checked) setTicks({});
    } else if (target.checked) setTicks({ ...ticks(), [parent]: true });
  });

  /* ---- In words ---- */

  const inWords = (says) => {
    const yes = labels.filter((label) => says[label]);
    return yes.length ? yes.map((label) => titles[label]).join(", ") : `not ${titles[parent].toLowerCase()}`;
  };

  const chances = ({ says, chances: chance }) =>
    `${inWords(says)} (${titles[parent].toLowerCase()}: ${Math.round(100 * chance[parent])} %)`;

  /* ---- All of it ---- */

  /* `before`: what was said of it earlier. */
  const show = (card, before = null) => {
    shown = card;
    form.reset();
    find("extra").open = false;
    changes = [];
    looked = 0;
    everOpened = false;
    open = false;
    shownAt = performance.now();
    form.hidden = !card;
    if (!card) return;
    picture.width = card.width;
    picture.height = card.height;
    load();
    find("text").textContent = card.text || "(no text known)";
    find("corrected").value = card.text;
    find("hint").textContent = card.suggestion ? `The model says: ${chances(card.suggestion)}` : "";
    find("hint").hidden = !card.suggestion;
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

  /* What is sent of a judgement of this kind. */
  const said = (kind) => {
    const corrected = find("corrected").value.trim();
    return {
      meme: shown.meme,
      key: shown.key,
      labels: kind === "vote" ? ticks() : {},
      note: find("note").value,
      harm: find("harm").value,
      text: corrected === shown.text.trim() ? null : corrected,
      seconds: (performance.now() - shownAt) / 1000,
      revealed: everOpened,
      revealed_seconds: looked / 1000,
    };
  };

  return {
    form,
    show,
    said,
    cover,
    unseen,
    inWords,
    chances,
    reload: () => load(),
    isOpen: () => open,
    setWishes: (now) => (wishes = now),
    box: (number) => ticked()[number - 1],
    takeBack: () => {
      if (changes.length) setTicks(changes.pop());
    },
  };
};
