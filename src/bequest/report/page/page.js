"use strict";
(() => {
  const root = document.documentElement;
  const heat = document.getElementById("heat");
  root.classList.add("live");

  const theme = document.getElementById("theme");
  const dark = () => root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  const nameTheme = () => { theme.textContent = dark() ? "☀ light" : "☾ dark"; };
  theme.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    nameTheme();
  });
  nameTheme();

  // A frame that scrolls sideways says so, as a phone shows no bar.
  const frames = [...document.querySelectorAll(".scroll")];
  const mark = () => {
    for (const frame of frames) {
      const left = frame.scrollWidth - frame.clientWidth - frame.scrollLeft;
      frame.classList.toggle("more", left > 8);
    }
  };
  for (const frame of frames) frame.addEventListener("scroll", mark, { passive: true });
  addEventListener("resize", mark);
  document.addEventListener("toggle", mark, true);
  mark();

  if (!heat) return;
  const data = JSON.parse(document.getElementById("data").textContent);
  const metric = document.getElementById("metric");
  const against = document.getElementById("against");
  const tip = document.getElementById("tip");
  const cells = [...heat.querySelectorAll("td[data-row]")];
  const reasons = new Map(cells.map((cell) => [cell, cell.title]));

  const say = (value) => {
    if (value === null || value === undefined) return "not a number";
    const text = Math.abs(value) >= 1000
      ? Math.round(value).toLocaleString("en") : value.toFixed(3);
    return text.replace("-", "−");
  };
  const sign = (value) => (value > 0 && Number(value.toFixed(3)) ? "+" : "") + say(value);
  const span = (low, high, word) => `${word(low)}\u00a0…\u00a0${word(high)}`;
  const about = () => data.metrics.find((one) => one.name === metric.value);

  // What a cell says: big and small words, its class, and the tooltip.
  const valueOf = (row, column) => {
    const found = data.values[metric.value][row][column];
    if (!found) return null;
    const [value, low, high, n, seeds] = found;
    const { low: least, high: most, better } = about();
    const share = Math.min(Math.max((value - least) / (most - least), 0), 1);
    const shade = Math.round(10 * (better === "higher" ? share : 1 - share));
    const lines = [`${say(value)} (${span(low, high, say)})`, `${n.toLocaleString("en")} samples`];
    if (seeds.length) lines.push(`seeds: ${seeds.map(say).join(", ")}`);
    return { big: say(value), small: span(low, high, say), class: `k${shade}`, lines };
  };
  const differenceOf = (row, column, other) => {
    const [mine, theirs] = [row, other].map((i) => data.values[metric.value][i][column]);
    if (!mine || !theirs) return null;
    if (row === other) {
      return { big: "0", small: "this row", class: "d5", lines: ["the row to compare with"] };
    }
    const [value, low, high] = paired(row, other, column) || [mine[0] - theirs[0], null, null];
    const better = about().better === "higher" ? value : -value;
    const unsure = low === null || (low <= 0 && high >= 0);
    const most = Math.max(...scale(other).map(Math.abs), 1e-9);
    const shade = 5 + Math.sign(better) * Math.ceil(5 * Math.min(Math.abs(better) / most, 1));
    const mark = unsure ? "≈ " : better > 0 ? "▲ " : "▼ ";
    const lines = low === null
      ? [sign(value), "no interval: not the same samples or seeds, or too many rows"]
      : [`${sign(value)} (${span(low, high, sign)})`,
         unsure ? "the interval holds zero: can't be told from this pair alone"
           : better > 0 ? "better; the interval leaves zero out"
             : "worse; the interval leaves zero out"];
    return {
      big: mark + sign(value),
      small: low === null ? "" : span(low, high, sign),
      class: `d${shade}${unsure ? " unsure cell" : ""}`,
      lines,
    };
  };
  // Stored once for each pair; turned round, it is its negative.
  const paired = (row, other, column) => {
    const [late, early] = [Math.max(row, other), Math.min(row, other)];
    const found = data.differences[metric.value]
      .find((one) => one[0] === late && one[1] === early && one[2] === column);
    if (!found) return null;
    const [value, low, high] = found.slice(3);
    return row === late ? [value, low, high] : [-value, -high, -low];
  };
  const scale = (other) => data.values[metric.value].flatMap((row) => row.map((cell, column) => {
    const theirs = data.values[metric.value][other][column];
    return cell && theirs ? cell[0] - theirs[0] : 0;
  }));

  const shown = new Map();
  const word = (name, text) => {
    const element = document.createElement(name);
    element.textContent = text;
    return element;
  };
  const draw = () => {
    const other = against.value === "" ? null : Number(against.value);
    for (const cell of cells) {
      const [row, column] = [Number(cell.dataset.row), Number(cell.dataset.column)];
      const learned = cell.classList.contains("learned") ? " learned" : "";
      const said = other === null ? valueOf(row, column) : differenceOf(row, column, other);
      cell.removeAttribute("title");
      cell.className = (said ? said.class : "absent") + learned;
      cell.replaceChildren(word("b", said ? said.big : "—"), word("small", said ? said.small : ""));
      const where = `${data.rows[row]} on ${data.tasks[column]}`;
      const why = reasons.get(cell) || "not measured";
      shown.set(cell, [where, ...(said ? said.lines : [`absent: ${why}`])].join("\n"));
    }
    document.getElementById("definition").textContent = about().definition
      + (about().better === "lower" ? " Lower is better." : "");
    document.getElementById("key-values").hidden = other !== null;
    document.getElementById("key-differences").hidden = other === null;
  };
  metric.addEventListener("change", draw);
  against.addEventListener("change", draw);
  draw();

  const show = (cell) => {
    tip.textContent = shown.get(cell);
    tip.hidden = false;
    cell.setAttribute("aria-describedby", "tip");
    const box = cell.getBoundingClientRect();
    const left = Math.min(box.left, innerWidth - tip.offsetWidth - 8);
    const above = box.top - tip.offsetHeight - 8;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above > 8 ? above : box.bottom + 8}px`;
  };
  const hide = () => {
    tip.hidden = true;
    for (const cell of cells) cell.removeAttribute("aria-describedby");
  };
  // One stop for the tab key; arrows walk from cell to cell.
  const rows = [...new Set(cells.map((cell) => cell.dataset.row))];
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const focus = (cell) => {
    for (const each of cells) each.tabIndex = each === cell ? 0 : -1;
    cell.focus();
  };
  cells[0].tabIndex = 0;
  for (const cell of cells) {
    cell.addEventListener("mouseenter", () => show(cell));
    cell.addEventListener("mouseleave", hide);
    cell.addEventListener("focus", () => show(cell));
    cell.addEventListener("blur", hide);
    cell.addEventListener("click", () => focus(cell));
    cell.addEventListener("keydown", (event) => {
      if (event.key === "Escape") hide();
      const by = step[event.key];
      if (!by) return;
      event.preventDefault();
      const row = rows[rows.indexOf(cell.dataset.row) + by[0]];
      const column = Number(cell.dataset.column) + by[1];
      const next = cells.find((each) =>
        each.dataset.row === row && Number(each.dataset.column) === column);
      if (next) focus(next);
    });
  }
  addEventListener("scroll", hide, { passive: true, capture: true });
})();
