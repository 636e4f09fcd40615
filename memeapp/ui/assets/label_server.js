/* What the parts of the Annotate page share: its id, how it talks to the server, and words. */
window.memeapp.labelling = {
  /* Whose memes these are on the server. The id outlives a refresh, and lies in the storage only
     from the end of one page to the start of the next: a duplicated browser tab copies the storage,
     and two pages of one id would have the same memes. */
  pageId() {
    if (!this.id) {
      this.id = sessionStorage.memeappTab ?? window.memeapp.newKey();
      delete sessionStorage.memeappTab;
      addEventListener("pagehide", () => (sessionStorage.memeappTab = this.id));
      addEventListener("pageshow", () => delete sessionStorage.memeappTab);
    }
    return this.id;
  },

  /* JSON from one of our routes. Throws an Error that is a sentence; its `status` is missing where
     no answer came. A connection can break at any moment, so each request is made twice. What is
     sent twice counts once; only to join twice would make two people. */
  async ask(address, body) {
    const once = () =>
      fetch(`label/${address}`, {
        ...(body && window.memeapp.asJson(body)),
        signal: AbortSignal.timeout(20_000),
      });
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
  },

  /* "1 meme", "2 memes", "3 people". */
  counted(count, one, many = `${one}s`) {
    return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
  },

  /* Roughly how long so many minutes are. */
  roughly(minutes) {
    if (minutes < 2) return "about a minute";
    if (minutes < 55) return `about ${minutes < 10 ? Math.round(minutes) : 5 * Math.round(minutes / 5)} minutes`;
    if (minutes < 90) return "about an hour";
    if (minutes < 24 * 60) return `about ${Math.round(minutes / 60)} hours`;
    return "more than a day";
  },

  /* Where a session stands, in a line. */
  progressInWords({ open, memes, done, at_work: people, minutes_left: left }, judged) {
    return [
      `${done.toLocaleString("en")} of ${this.counted(memes, "meme")} ${memes === 1 ? "is" : "are"} done`,
      `${this.counted(people, "person", "people")} at work`,
      open && left > 0 && done < memes ? `${this.roughly(left)} left` : "",
      `you judged ${judged.toLocaleString("en")}`,
    ]
      .filter(Boolean)
      .join(" · ");
  },
};
