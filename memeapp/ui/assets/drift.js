/* What comes in beside what was learned. Words from the server enter the page as text. */
window.memeapp.drift = (root) => {
  const EVERY_MS = 60_000;
  const HEADS = ["What", "Training", "Last week", "Spread", "Verdict"];
  const { element } = window.memeapp;
  const find = (name) => root.querySelector(`[data-${name}]`);
  const place = document.querySelector("#admin-drift-note [aria-live]");
  let looked = -Infinity;
  let drawn = "";

  const complain = (sentence) => {
    find("trouble").textContent = sentence;
    find("trouble").hidden = !sentence;
  };

  const unbroken = (words) => words.replaceAll(" %", "\u00a0%") || "–";
  const percent = (share) => `${Math.round(100 * share)} %`;

  /* For each bin two bars side by side; the highest of all fills the height. */
  const pairs = (bars) => {
    const made = element("div", "");
    made.className = "pairs";
    if (!bars.length) return element("span", "–");
    made.role = "img";
    made.ariaLabel = bars
      .map(({ name, training, recent }) => `${name}: ${percent(training)}, now ${percent(recent)}`)
      .join("; ");
    const highest = bars.length > 1 ? Math.max(...bars.flatMap(({ training, recent }) => [training, recent])) : 1;
    for (const { name, training, recent } of bars) {
      const pair = element("span", "", made);
      pair.title = `${name}: training ${percent(training)}, last week ${percent(recent)}`;
      for (const share of [training, recent]) element("i", "", pair).style.height = `${(100 * share) / highest}%`;
    }
    return made;
  };

  const verdict = ({ verdict, sentence, shift }) => {
    const made = element("div", "");
    if (verdict === "apart") element("strong", "Parts. ", made);
    element("span", unbroken(sentence), made);
    if (shift) (element("span", ` Index ${shift.index.toFixed(2)}.`, made)).className = "interval";
    return made;
  };

  const table = (rows) => {
    const made = element("table", "", find("rows"));
    made.className = "versions";
    const head = element("tr", "", element("thead", "", made));
    for (const word of HEADS) element("th", word, head).scope = "col";
    const body = element("tbody", "", made);
    for (const row of rows) {
      const line = element("tr", "", body);
      line.dataset.verdict = row.verdict;
      element("th", row.name, line).scope = "row";
      [unbroken(row.training), unbroken(row.recent), pairs(row.bars), verdict(row)].forEach((cell, at) => {
        const made = element("td", "", line);
        made.dataset.head = HEADS[at + 1];
        made.append(cell);
      });
    }
  };

  const note = (sentence) => {
    if (place.textContent.startsWith(sentence) && sentence) return;
    place.replaceChildren();
    if (!sentence) return;
    const made = element("p", `${sentence} `, place);
    made.className = "notice prose";
    const link = element("a", "Look at the comparison", made);
    link.href = "#drift";
    link.addEventListener("click", (event) => {
      event.preventDefault(); /* gradio keeps its own things in the address */
      root.firstElementChild.scrollIntoView();
      root.firstElementChild.focus();
    });
  };

  const draw = (report) => {
    const now = JSON.stringify(report);
    if (now === drawn) return;
    drawn = now;
    const counted = report.recent === 1 ? "1 meme was" : `${report.recent.toLocaleString()} memes were`;
    find("about").textContent = report.recent
      ? `${counted} classified in the last ${report.days} days. ${report.about}`
      : `Nothing was classified in the last ${report.days} days, so there is nothing to compare yet. ${report.about}`;
    find("key").hidden = !report.rows.some(({ bars }) => bars.length);
    find("rows").replaceChildren();
    if (report.recent) table(report.rows);
    note(report.note);
  };

  const hide = () => {
    root.hidden = true;
    looked = -Infinity;
    drawn = "";
    note("");
  };

  const admin = () => document.querySelector("#admin-dashboard .who");

  const look = async () => {
    if (!admin()) return hide();
    if (performance.now() < looked + EVERY_MS) return;
    looked = performance.now();
    const response = await fetch("drift").catch(() => null);
    if (!admin() || response?.status === 403) return hide();
    root.hidden = false;
    if (!response) return complain("The server cannot be reached; what is shown may be old.");
    const answer = await response.json().catch(() => ({}));
    if (response.ok) draw(answer);
    else if (!drawn) find("about").textContent = "";
    complain(response.ok ? "" : typeof answer.detail === "string" ? answer.detail : `What comes in cannot be compared now (${response.status}); the server's log says why.`);
  };

  window.memeapp.lookAtDrift = look;
  look();
  setInterval(() => {
    if (root.isConnected && !document.hidden && root.checkVisibility()) look();
  }, EVERY_MS);
};
