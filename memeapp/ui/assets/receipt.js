/* A receipt's pictures: covered until somebody asks for one, or for all. */
(() => {
  const cover = (flip, on) => {
    flip.classList.toggle("covered", on);
    const button = flip.querySelector("[data-show]");
    if (!button) return;
    button.setAttribute("aria-pressed", String(!on));
    button.firstElementChild.textContent = on ? "Show" : "Blur";
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if ("print" in button.dataset) window.print();
    if ("show" in button.dataset) {
      const flip = button.closest("[data-flip]");
      cover(flip, !flip.classList.contains("covered"));
    }
    if ("showAll" in button.dataset) {
      const on = button.dataset.shown === "yes";
      button.dataset.shown = on ? "" : "yes";
      button.textContent = on ? "Show all clearly" : "Blur all";
      for (const flip of document.querySelectorAll("[data-flip]")) cover(flip, on);
    }
  });

  document.addEventListener("error", ({ target }) => {
    if (target.tagName !== "IMG") return;
    const gone = document.createElement("p");
    gone.className = "gone";
    gone.textContent = `${target.alt} cannot be shown.`;
    target.replaceWith(gone);
  }, true);
})();
