// The table of outcomes: searched, filtered and sorted. What is chosen stands in the fragment of
// the page's address, so that a link to it can be kept, and the links from the reasons work.
// Without this script all rows are there, and those links lead to the first row of each.
"use strict";
(() => {
  const SHOWN_AT_ONCE = 200;
  const form = document.querySelector("#filter");
  if (!form) return;
  const table = document.querySelector("#outcomes");
  const more = document.querySelector("#more");
  const headings = [...table.tHead.rows[0].cells];
  const collator = new Intl.Collator("en", { numeric: true });

  const rows = [...table.tBodies[0].rows].map((row) => {
    const texts = [...row.cells].map((cell) => cell.textContent);
    return {
      row,
      texts,
      searched: texts.join("\n").toLowerCase(),
      status: row.cells[3].className,
      reason: row.dataset.reason ?? "",
    };
  });
  let sort = { key: "", down: false }; // as the page has them: failures first
  let matching = rows;
  let showsAll = false;

  function readFragment() {
    const chosen = new URLSearchParams(location.hash.slice(1));
    const key = (chosen.get("sort") ?? "").replace(/^-/, "");
    const known = headings.some((heading) => heading.dataset.key === key);
    sort = { key: known ? key : "", down: known && chosen.get("sort")?.startsWith("-") };
    for (const name of ["search", "status", "reason"]) {
      form.elements[name].value = chosen.get(name) ?? "";
    }
    return ["search", "status", "reason"].some((name) => chosen.get(name));
  }

  function writeFragment() {
    const chosen = new URLSearchParams();
    for (const name of ["search", "status", "reason"]) {
      if (form.elements[name].value) chosen.set(name, form.elements[name].value);
    }
    if (sort.key) chosen.set("sort", (sort.down ? "-" : "") + sort.key);
    history.replaceState(null, "", "#" + chosen);
  }

  function compare(column, one, other) {
    const [left, right] = [one.texts[column], other.texts[column]];
    if (!left || !right) return Boolean(right) - Boolean(left);
    const order = "numeric" in headings[column].dataset
      ? Number(left) - Number(right)
      : collator.compare(left, right);
    return sort.down ? -order : order;
  }

  function choose() {
    const words = form.elements.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const { value: status } = form.elements.status;
    const { value: reason } = form.elements.reason;
    const column = headings.findIndex((heading) => heading.dataset.key === sort.key);
    matching = rows.filter((one) =>
      (!status || one.status === status) &&
      (!reason || one.reason === reason) &&
      words.every((word) => one.searched.includes(word)));
    if (column >= 0) matching.sort((one, other) => compare(column, one, other));
    showsAll = false;
    show();
  }

  function show(all = showsAll) {
    const shown = all ? matching : matching.slice(0, SHOWN_AT_ONCE);
    table.tBodies[0].replaceChildren(...shown.map((one) => one.row));
    const count = (number) => number.toLocaleString("en");
    form.elements.shown.value =
      `${count(matching.length)} of ${count(rows.length)}` +
      (shown.length < matching.length ? `, the first ${count(shown.length)} shown` : "");
    more.hidden = shown.length === matching.length;
    for (const heading of headings) {
      const order = sort.down ? "descending" : "ascending";
      heading.ariaSort = heading.dataset.key === sort.key ? order : "none";
    }
  }

  function follow() {
    if (readFragment()) form.scrollIntoView();
    choose();
  }

  function sortBy(key) {
    sort = { key, down: sort.key === key && !sort.down };
    writeFragment();
    choose();
  }

  for (const heading of headings) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sortBy(heading.dataset.key));
    heading.append(button);
  }
  for (const one of rows) one.row.removeAttribute("id");
  form.addEventListener("input", () => { writeFragment(); choose(); });
  form.addEventListener("reset", () => {
    sort = { key: "", down: false };
    setTimeout(() => { writeFragment(); choose(); });
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => { showsAll = true; show(); });
  addEventListener("hashchange", follow);
  for (const link of document.querySelectorAll('a[href^="#"]')) {
    link.addEventListener("click", () => setTimeout(follow)); // also where the address stays as it is
  }
  addEventListener("beforeprint", () => show(true));
  addEventListener("afterprint", () => show());
  form.hidden = false;
  follow();
})();
