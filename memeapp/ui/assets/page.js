/* What the pages do in the browser: cookie routes, the annotation card with its keys, the dashboard.
   Addresses are relative, so that the app works behind a path prefix. */
window.memeapp = {
  /* Send JSON to one of our own routes. Returns "" or a sentence that says what was wrong. */
  async post(address, body) {
    try {
      const response = await fetch(address, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      if (response.ok) return "";
      const { detail } = await response.json().catch(() => ({}));
      return typeof detail === "string"
        ? detail
        : `The server did not accept that (${response.status}).`;
    } catch {
      return "The server cannot be reached; try again.";
    }
  },

  /* The annotation card. A new vote key means a new meme: ticks are cleared, the clock starts. */
  card(element, trigger, watch) {
    let shownKey = null;
    let shownAt = 0;
    let revealed = false;

    const cover = (covered) => {
      const figure = element.querySelector("figure");
      const button = element.querySelector("[data-reveal]");
      figure.classList.toggle("covered", covered);
      button.setAttribute("aria-pressed", String(!covered));
      button.firstChild.textContent = covered ? "Reveal the picture " : "Cover the picture ";
    };

    const refresh = () => {
      const form = element.querySelector("form");
      const key = form?.dataset.key ?? null;
      if (key === shownKey) return;
      shownKey = key;
      shownAt = performance.now();
      revealed = false;
      if (!form) return;
      form.reset();
      cover(true);
      if (form.getBoundingClientRect().top < 0) form.scrollIntoView();
    };

    const submit = (form) =>
      trigger("submit", {
        meme: form.dataset.meme,
        key: form.dataset.key,
        labels: [...form.querySelectorAll("input:checked")].map((box) => box.name),
        seconds: (performance.now() - shownAt) / 1000,
        revealed,
      });

    element.addEventListener("submit", (event) => {
      event.preventDefault();
      submit(event.target);
    });

    /* A kind implies the parent label; without the parent there is no kind. */
    element.addEventListener("change", ({ target }) => {
      const boxes = [...element.querySelectorAll("fieldset input")];
      if ("parent" in target.dataset) {
        if (!target.checked) boxes.forEach((box) => (box.checked = false));
      } else if (target.checked) {
        boxes.find((box) => "parent" in box.dataset).checked = true;
      }
    });

    element.addEventListener("click", async ({ target }) => {
      const button = target.closest("button");
      if (!button) return;
      if ("reveal" in button.dataset) {
        const covered = element.querySelector("figure").classList.contains("covered");
        if (covered) revealed = true;
        cover(!covered);
      } else if ("leave" in button.dataset) {
        await window.memeapp.post("auth/leave", { role: "annotator" });
        trigger("opened");
      } else if ("again" in button.dataset) {
        trigger("opened");
      }
    });

    watch("value", refresh);
    refresh();
  },

  /* The admin's dashboard: its buttons name the event they stand for. */
  dashboard(element, trigger) {
    element.addEventListener("click", async ({ target }) => {
      const button = target.closest("button");
      if (!button) return;
      if ("logout" in button.dataset) {
        await window.memeapp.post("auth/leave", { role: "admin" });
        trigger("opened");
      } else if (button.dataset.event) {
        const encoder = element.querySelector("#admin-encoder")?.value;
        trigger(button.dataset.event, { version: button.dataset.version, encoder });
      }
    });
  },
};

/* Keys of the annotation card: 1 to 9, R, Enter. Ignored while typing and when it is not shown. */
document.addEventListener("keydown", (event) => {
  const form = document.querySelector("#annotate-card form");
  if (!form?.offsetParent || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest("textarea, select, [contenteditable=true], input:not([type=checkbox])"))
    return;
  const box = /^[1-9]$/.test(event.key) && form.querySelectorAll("fieldset input")[event.key - 1];
  if (box) {
    box.click();
  } else if (event.key === "r" || event.key === "R") {
    form.querySelector("[data-reveal]").click();
  } else if (event.key === "Enter" && !event.target.closest("button, a")) {
    form.requestSubmit();
  } else {
    return;
  }
  event.preventDefault();
});

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
