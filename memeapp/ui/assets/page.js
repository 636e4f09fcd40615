/* What the pages do in the browser: cookie routes, the dashboard.
   Addresses are relative, so that the app works behind a path prefix. */
window.memeapp = {
  /* A new element with words in it, at the end of `within` if that is given. */
  element(name, text, within) {
    const made = document.createElement(name);
    made.textContent = text;
    within?.append(made);
    return made;
  },

  /* A button that does something when it is pressed. */
  button(text, act, within) {
    const made = window.memeapp.element("button", text, within);
    made.type = "button";
    made.addEventListener("click", act);
    return made;
  },

  /* What `fetch` needs to send JSON. */
  asJson(body) {
    return {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    };
  },

  /* Send JSON to one of our own routes. Returns "" or a sentence that says what was wrong. */
  async post(address, body) {
    try {
      const response = await fetch(address, window.memeapp.asJson(body));
      if (response.ok) return "";
      const { detail } = await response.json().catch(() => ({}));
      return typeof detail === "string"
        ? detail
        : `The server did not accept that (${response.status}).`;
    } catch {
      return "The server cannot be reached; try again.";
    }
  },

  /* So many bytes, for people. */
  bytes(number) {
    const [unit, size] = [["GB", 2 ** 30], ["MB", 2 ** 20], ["KB", 2 ** 10]].find(([, size]) => number >= size) ?? ["bytes", 1];
    return `${(number / size).toFixed(number / size < 10 && size > 1 ? 1 : 0)} ${unit}`;
  },

  /* Names one thing that is sent, so that the server knows it when it comes again. */
  newKey() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  },

  /* The admin's dashboard: its buttons name the event they stand for. */
  dashboard(element, trigger) {
    const fields = ["encoder", "aggregation", "votes"];
    const field = (name) => element.querySelector(`#admin-${name}`);
    const chosen = {};
    const opened = new Set();
    let seen = "";
    /* Each card gives its own `lookAt…`, and looks now and then by itself too. */
    const look = () => {
      for (const name in window.memeapp) if (name.startsWith("lookAt")) window.memeapp[name]();
    };
    element.addEventListener("input", ({ target }) => (chosen[target.id] = target.value));
    element.addEventListener("toggle", ({ target }) => {
      if (target.dataset.keep) opened[target.open ? "add" : "delete"](target.dataset.keep);
    }, true);
    /* The dashboard comes with a login and goes with a logout, and the cards below it too. While
       it is there it is drawn again and again, and what somebody has chosen stays. */
    new MutationObserver(() => {
      for (const name of fields) if (field(name) && chosen[field(name).id]) field(name).value = chosen[field(name).id];
      for (const box of element.querySelectorAll("[data-keep]")) box.open = opened.has(box.dataset.keep);
      const { job, state } = element.querySelector(".job")?.dataset ?? {};
      const there = `${element.childElementCount > 0} ${job} ${state}`;
      if (there !== seen) look();
      seen = there;
    }).observe(element, { childList: true });
    element.addEventListener("click", async ({ target }) => {
      const button = target.closest("button");
      if (!button) return;
      if ("logout" in button.dataset) {
        await window.memeapp.post("auth/leave", { role: "admin" });
        trigger("opened");
        look();
      } else if (button.dataset.event) {
        const values = Object.fromEntries(fields.map((name) => [name, field(name)?.value]));
        trigger(button.dataset.event, values);
      }
    });
  },
};

/* Where the answer is out of sight below the button, as on a phone, go there. */
document.addEventListener("click", ({ target }) => {
  const answer = document.querySelector("#classify-out");
  if (target.closest("#classify-button") && answer.getBoundingClientRect().top > innerHeight - 160)
    answer.scrollIntoView({ behavior: "smooth" });
});

/* Gradio's example buttons are pictures without words; their file names are the words. */
new MutationObserver(() => {
  const unnamed = "#classify-examples button:not([aria-label]) img[src]";
  for (const image of document.querySelectorAll(unnamed)) {
    const name = image.src.split("/").pop().split(".")[0].replaceAll("_", " ");
    image.closest("button").setAttribute("aria-label", `Example: ${name}`);
  }
}).observe(document, { childList: true, subtree: true });
