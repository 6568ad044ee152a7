// Filters the claims of the ledger by words, verdict and source. Without scripts the whole table is there.
const box = document.getElementById("filter");
if (box) {
  const rows = [...document.querySelectorAll("table.claims tbody tr")];
  const verdictOf = (row) => row.querySelector(".verdict").textContent.slice(2);
  const verdicts = [...new Set(rows.map(verdictOf))];
  const option = (value, text) => `<option value="${value}">${text}</option>`;
  box.innerHTML = `<label>Words <input type="search" name="words" placeholder="recall digits"></label>
    <label>Verdict <select name="verdict">${option("", "all")}${verdicts.map((v) => option(v, v)).join("")}</select></label>
    <label>Claim of <select name="whose">${option("", "all")}${option("paper", "the paper")}${option("ours", "ours")}</select></label>
    <output aria-live="polite"></output>`;
  const field = (name) => box.querySelector(`[name=${name}]`).value.toLowerCase();
  const update = () => {
    const words = field("words").split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const source = row.querySelector(".about").textContent;
      row.hidden = !(words.every((word) => text.includes(word)) && ["", verdictOf(row)].includes(field("verdict"))
        && source.startsWith(field("whose")));
    }
    for (const table of document.querySelectorAll("table.claims"))
      table.closest("section").hidden = !table.querySelector("tbody tr:not([hidden])");
    box.querySelector("output").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} claims`;
  };
  box.addEventListener("input", update);
  window.addEventListener("hashchange", () => document.querySelector(location.hash)?.closest("tr")?.hidden && (box.querySelectorAll("input, select").forEach((e) => { e.value = ""; }), update()));
  update();
}
