/* What opens below a session: its picture, exposure, agreement, adjudication. Each is given the
   session's number, the place to fill, and a way to complain. What people wrote enters as text. */
window.memeapp.sessionParts = (root) => {
  const { element } = window.memeapp;

  const drawn = (name, attributes, within) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    within?.append(made);
    return made;
  };

  const note = (words, within) => (element("p", words, within).className = "legend");

  const whole = (share) => `${Math.round(100 * share)} %`;
  const percent = (figure) =>
    figure
      ? whole(figure.value) +
        (figure.low === null ? "" : ` (${Math.round(100 * figure.low)} to ${Math.round(100 * figure.high)})`)
      : "not defined";
  const decimal = (figure) =>
    figure
      ? figure.value.toFixed(2) +
        (figure.low === null ? "" : ` (${figure.low.toFixed(2)} to ${figure.high.toFixed(2)})`)
      : "not defined";
  const number = (count, word) => count && `${count} ${word}${count === 1 ? "" : "s"}`;
  const stretch = (seconds) => (seconds < 600 ? `${Math.round(seconds)}\u00a0s` : `${Math.round(seconds / 60)}\u00a0min`);

  /* A cell is words or an element; the first of a row is its heading. */
  const table = (heads, rows, within) => {
    const made = element("table", "", within);
    made.className = "versions";
    const head = element("tr", "", element("thead", "", made));
    for (const word of heads) element("th", word, head).scope = "col";
    const body = element("tbody", "", made);
    for (const [first, ...rest] of rows) {
      const row = element("tr", "", body);
      element("th", first, row).scope = "row";
      rest.forEach((cell, at) => {
        const made = element("td", "", row);
        made.dataset.head = heads[at + 1];
        made.append(cell);
      });
    }
  };

  const timeLeft = (minutes) => {
    if (minutes === null) return "not known yet";
    if (minutes < 90) return `${Math.ceil(minutes)} min`;
    return minutes < 2880 ? `${(minutes / 60).toFixed(1)} h` : `${Math.round(minutes / 1440)} days`;
  };

  /* One label over time: the line, the interval shaded around it, a dot at the newest part. */
  const line = (points, top) => {
    const svg = drawn("svg", { viewBox: "0 0 160 40", class: "trend", role: "img" });
    if (!points.length) return element("span", "");
    const words = `${whole(points[0].value)} at first, ${whole(points.at(-1).value)} now`;
    svg.setAttribute("aria-label", words);
    drawn("title", {}, svg).textContent = words;
    const x = (at) => (points.length > 1 ? 3 + (at * 154) / (points.length - 1) : 80);
    const y = (share) => (37 - (34 * share) / top).toFixed(1);
    drawn("path", { d: "M3 37H157", class: "ground" }, svg);
    const ends = [...points.map((p, at) => `${x(at)},${y(p.high)}`), ...points.map((p, at) => `${x(at)},${y(p.low)}`).reverse()];
    drawn("polygon", { points: ends.join(" "), class: "spread" }, svg);
    drawn("polyline", { points: points.map((p, at) => `${x(at)},${y(p.value)}`).join(" "), class: "line" }, svg);
    drawn("circle", { cx: x(points.length - 1), cy: y(points.at(-1).value), r: 2.5 }, svg);
    return svg;
  };

  const moment = (at) => new Date(at).toLocaleString([], { dateStyle: "short", timeStyle: "short" });

  const picture = (found, place) => {
    const { pace } = found;
    const hourly = (figure) => (figure === null ? "not known yet" : Math.round(figure).toLocaleString());
    const list = element("dl", "", place);
    list.className = "counts";
    for (const [name, words] of [
      ["Memes done", `${found.done.toLocaleString()} of ${found.memes.toLocaleString()}`],
      ["Answers an hour, now", hourly(pace.last_hour)],
      ["Answers an hour of work", hourly(pace.overall)],
      ["Seconds for a meme", pace.median_seconds?.toFixed(1) ?? "not known yet"],
      ["Time left", timeLeft(pace.minutes_left)],
      ["Judged unseen", found.unseen ? whole(found.unseen.value) : "not known yet"],
    ]) {
      const pair = element("div", "", list);
      element("dt", name, pair);
      element("dd", words, pair);
    }
    note("Seconds: the median. Time left: at the speed of the last hour. Judged unseen: without uncovering the picture.", place);
    if (!found.labels[0].line.length) return;
    element("h4", "What people say", place);
    const highest = Math.max(...found.labels.flatMap((one) => one.line.map((point) => point.high)));
    const top = Math.min(1, Math.ceil(10 * highest) / 10);
    table(
      ["Label", "Share of yes over time", "Share of yes", "Pairs that agree", "Gwet's AC1"],
      found.labels.map((one) => [one.name, line(one.line, top), percent(one.share), percent(one.observed), decimal(one.ac1)]),
      place,
    );
    const times = found.labels[0].line;
    const made =
      times.length > 1
        ? `Each line is made of ${times.length} equal parts of the answers, the newest on the right (${moment(times.at(-1).until)}), and goes`
        : "There are too few answers for a line; the point stands for all of them, on a scale";
    note(`${made} from 0 to ${whole(top)}; shaded: 95 % intervals. Agreement is on blind answers.`, place);
    element("h4", "Where the memes came from", place);
    table(
      ["Queue", "Planned", "Given"],
      found.mix.map((one) => [
        root.querySelector(`label[for="plan-${one.queue}"]`)?.textContent ?? one.queue,
        whole(one.declared),
        one.given ? percent(one.given) : "nothing yet",
      ]),
      place,
    );
    note("A queue that has no more memes leaves its share to chance.", place);
  };

  const exposure = (found, place) => {
    note(
      "Exposure is time of looking at uncovered pictures, weighed by how severe the model finds them. These figures help you see, they protect nobody: " +
        "if somebody's rise, ask the person how it is, offer to show text first, and a break or another task.",
      place,
    );
    table(
      ["Name", "Today", "Last 7 days", "In all", "Uncovered for", "Judged unseen", "Longest without a pause of 5 min", "Opted out"],
      found.map((one) => [
        one.name,
        stretch(one.today),
        stretch(one.week),
        stretch(one.all),
        stretch(one.revealed_seconds),
        one.unseen ? whole(one.unseen.value) : "",
        stretch(60 * one.longest_minutes),
        [number(one.avoids, "kind"), number(one.passed_on, "meme")].filter(Boolean).join(", ") || "nothing",
      ]),
      place,
    );
    note("Opted out: kinds of content that the person would rather not get, and memes passed on for that reason.", place);
  };

  const quality = (found, place) => {
    element("h4", "How far people agree", place);
    table(
      ["Label", "Memes", "Pairs that agree", "Krippendorff's α", "Gwet's AC1", "Worth independent labels"],
      found.labels.map((one) => [one.name, one.memes, percent(one.observed), decimal(one.alpha), decimal(one.ac1), one.effective?.toFixed(0) ?? "0"]),
      place,
    );
    note("On blind answers, with 95 % intervals over memes. α collapses where a label is rare; AC1 does not.", place);
    element("h4", "What the model's answer does", place);
    table(
      ["Label", "Changed to the model's answer after seeing it", "Yes beside the model's answer, compared with blind"],
      found.labels.map((one) => [one.name, percent(one.switched), one.shift ? `${one.shift.value > 0 ? "+" : ""}${percent(one.shift)}` : "not defined"]),
      place,
    );
    element("h4", "People", place);
    table(
      ["Name", "Judged blind", "Agree with most others", "Right on known answers", "Seconds"],
      found.people.map((one) => [one.name, one.memes, percent(one.agreement), percent(one.gold), one.seconds?.toFixed(1) ?? ""]),
      place,
    );
  };

  const disputed = (found, place, id, complain, again) => {
    const next = found.find((one) => !one.decision);
    const left = found.filter((one) => !one.decision).length;
    element("p", next ? `${left} ${left === 1 ? "meme" : "memes"} on which people disagree ${left === 1 ? "waits" : "wait"} for a decision, the most disputed first.` : "There is nothing to decide: people agree, or all is decided.", place);
    if (!next) return;
    const part = root.querySelector("[data-dispute]").content.cloneNode(true);
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
      if (!problem) await again();
    });
    place.append(part);
  };

  const midnight = () => new Date().setHours(0, 0, 0, 0) / 1000;
  const parts = {
    picture: [picture, () => "picture"],
    exposure: [exposure, () => `exposure?midnight=${midnight()}`],
    quality: [quality, () => "quality"],
    disputed: [disputed, () => "disputed"],
  };

  /* Fetch a part of a session and show it; false: there is no such part. */
  const fill = async (name, id, box, complain) => {
    if (!(name in parts)) return false;
    const [show, address] = parts[name];
    const response = await fetch(`sessions/${id}/${address()}`).catch(() => null);
    const found = response?.ok ? await response.json() : null;
    if (!found) complain("The server did not answer; close this part and open it again.");
    else {
      const fresh = document.createElement("div");
      const place = box.querySelector(`[data-${name}]`);
      show(found, fresh, id, complain, () => fill(name, id, box, complain));
      place.replaceChildren(...fresh.childNodes);
      if (name === "disputed") place.querySelector(".choices input")?.focus({ preventScroll: true });
    }
    return true;
  };

  return { fill };
};
