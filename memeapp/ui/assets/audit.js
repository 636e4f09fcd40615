/* What admins, commands and the app itself did, newest first. */
window.memeapp.audit = (root) => {
  const TICK_MS = 15_000;
  const LINES = 20;
  const { element } = window.memeapp;
  const find = (name) => root.querySelector(`[data-${name}]`);
  let older = false; /* whether somebody looks at older lines, which then stay */

  const show = ({ id, at, who, what, about, before, details }) => {
    const row = element("tr", "");
    row.dataset.deed = id;
    const told = Object.entries(details).map(([name, value]) => `${name.replaceAll("_", " ")}: ${value}`);
    const cells = { When: at.slice(0, 19).replace("T", " "), Who: who, What: what, About: about, Before: before, Details: told.join(", ") };
    for (const [head, words] of Object.entries(cells)) element("td", words, row).dataset.head = head;
    return row;
  };

  const asked = async (before = "") => {
    const response = await fetch(`audit?limit=${LINES}${before && `&before=${before}`}`).catch(() => null);
    if (!response) return null; /* what was seen last stays */
    root.hidden = !response.ok;
    return response.ok ? response.json() : null;
  };

  const look = async () => {
    const found = await asked();
    if (!found) return;
    const known = Number(find("list").rows[0]?.dataset.deed ?? 0);
    if (older && found.deeds.some(({ id }) => id === known)) {
      find("list").prepend(...found.deeds.filter(({ id }) => id > known).map(show));
      return;
    }
    older = false;
    find("list").replaceChildren(...found.deeds.map(show));
    find("older").hidden = !found.more;
  };

  find("older").addEventListener("click", async () => {
    const found = await asked([...find("list").rows].at(-1).dataset.deed);
    if (!found) return;
    older = true;
    find("list").append(...found.deeds.map(show));
    find("older").hidden = !found.more;
  });

  window.memeapp.lookAtAudit = look;
  look();
  setInterval(() => {
    if (root.isConnected && !document.hidden && root.checkVisibility()) look();
  }, TICK_MS);
};
