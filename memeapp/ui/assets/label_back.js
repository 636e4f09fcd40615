/* Personal links: making one to go on in another browser, and coming by one. */
window.memeapp.labelling.back = (root, atOnce, begin) => {
  const { ask } = window.memeapp.labelling;
  const find = (name) => root.querySelector(`[data-${name}]`);
  let token = new URLSearchParams(location.search).get("back");

  /* Whoever has the address can go on as this person: it does not stay in the address bar. */
  const forget = () => {
    token = null;
    const address = new URL(location.href);
    address.searchParams.delete("back");
    history.replaceState(history.state, "", address);
  };

  const goOn = () =>
    atOnce(async () => {
      await ask("back", { token });
      forget();
      await begin();
    });

  const hide = () => {
    find("link-box").hidden = true;
    find("link-code").removeAttribute("src");
    find("link").value = "";
  };
  root.querySelector("[data-dialog=settings]").addEventListener("close", hide);

  return {
    actions: {
      "go-on": goOn,
      "not-me": () =>
        atOnce(async () => {
          forget();
          await begin();
        }),
      link: () =>
        atOnce(async () => {
          const { address, code } = await ask("link", { page: new URL(".", location.href).href });
          find("link").value = address;
          find("link-code").src = code;
          find("link-box").hidden = false;
          find("link-box").scrollIntoView({ block: "nearest" });
          find("link").select();
        }),
      copy: () => {
        find("link").select();
        /* Without HTTPS there is no clipboard but this one. */
        find("copied").textContent = document.execCommand("copy")
          ? "Copied."
          : "Copy the marked line by hand.";
      },
    },
    /* Who would go on, and where; null without a link. Throws a sentence if it leads nowhere. */
    async asked() {
      if (!token) return null;
      try {
        return await ask(`back/${encodeURIComponent(token)}`);
      } catch (error) {
        if (error.status) forget();
        throw error;
      }
    },
  };
};
