"use strict";
// Sorts and filters the table of tensors, which is whole without this. Text from the file is only
// ever read from the page and compared: none of it is made into HTML.
(() => {
  const table = document.getElementById("tensors");
  if (table === null) return;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  const box = document.getElementById("filter");
  const said = document.getElementById("matches");

  const names = rows.map((row) => row.cells[0].textContent.toLowerCase());
  const filter = () => {
    const wanted = box.value.trim().toLowerCase();
    let shown = 0;
    rows.forEach((row, index) => {
      row.hidden = !names[index].includes(wanted);
      shown += row.hidden ? 0 : 1;
    });
    said.textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
  };

  const compare = (one, other) => {
    if (typeof one === "number") return one === other ? 0 : one - other;
    return one.localeCompare(other, "en", { numeric: true });
  };
  const sort = (column, head) => {
    const numeric = head.classList.contains("n");
    const before = head.getAttribute("aria-sort");
    const descending = before === null ? numeric : before === "ascending";
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const keys = new Map(rows.map((row) => {
      const cell = row.cells[column];
      return [row, numeric ? Number(cell.dataset.v) : cell.textContent];
    }));
    const turn = descending ? -1 : 1;
    const order = [...rows].sort((a, b) => turn * compare(keys.get(a), keys.get(b)));
    const all = document.createDocumentFragment();
    order.forEach((row) => all.appendChild(row));
    body.appendChild(all);
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Sort by this column";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(column, head));
    head.replaceChildren(button);
  });
  box.addEventListener("input", filter);
  document.getElementById("tools").hidden = false;
  filter();
})();
