"use strict";
// Sorting, the choice of metric, the strip plot and the drill-down. Texts enter the page as text nodes only.
(() => {
  document.documentElement.classList.add("scripted");
  const find = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "click") made.addEventListener("click", value);
      else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  // ---- sorting: a cell sorts by data-value if it has one, else by the number it begins with, else by its text
  function worth(cell) {
    const text = cell.dataset.value ?? cell.textContent.trim();
    if (/^-?inf\b/.test(text)) return text[0] === "-" ? -Infinity : Infinity;
    const number = parseFloat(text.replace("−", "-"));
    return Number.isNaN(number) ? text : number;
  }

  function compare(a, b) {
    const numbers = [typeof a === "number", typeof b === "number"];
    if (numbers[0] && numbers[1]) return a === b ? 0 : a - b;
    if (numbers[0] !== numbers[1]) return numbers[0] ? -1 : 1;
    return a.localeCompare(b, undefined, { numeric: true });
  }

  function sortable(table) {
    const heads = all("thead th", table);
    heads.forEach((head, column) => {
      const button = element("button", { type: "button", title: "Sort by this column" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const descending = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        const keyed = all("tbody tr", table).map((row) => [worth(row.cells[column]), row]);
        const empty = (key) => key === "" || key === "–";
        keyed.sort(([a], [b]) => {
          if (empty(a) || empty(b)) return empty(a) - empty(b);
          return descending ? compare(b, a) : compare(a, b);
        });
        find("tbody", table).append(...keyed.map(([, row]) => row));
      });
    });
  }
  all("table.sortable").forEach(sortable);

  const source = document.getElementById("board-data");
  if (!source) return;
  const board = JSON.parse(source.textContent);
  const methods = board.methods;
  const K = methods.length;

  // ---- values arrive as scripts beside the page, which works from a file as from a server: single precision without
  // its lowest byte, as three byte planes, deflated, in base64; NaN is no value
  async function inflated(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  async function unpacked(text) {
    const planes = await inflated(text);
    const count = planes.length / 3;
    const whole = new Uint8Array(4 * count);
    for (let plane = 0; plane < 3; plane++)
      for (let i = 0; i < count; i++) whole[4 * i + plane + 1] = planes[plane * count + i];
    return new Float32Array(whole.buffer);
  }

  const arrived = new Map();
  const waiting = new Map();
  window.segbench = {
    element,
    inflated,
    async receive(index, document) {
      const { resolve, reject } = waiting.get(index);
      try {
        const [values, mean] = await Promise.all([unpacked(document.values), unpacked(document.mean)]);
        const status = new Map();
        for (const [text, places] of Object.entries(document.status)) places.forEach((place) => status.set(place, text));
        resolve({ labels: document.labels, values, mean, status });
      } catch (error) {
        reject(error);
      }
    },
  };

  function load(index) {
    if (!arrived.has(index)) {
      arrived.set(index, new Promise((resolve, reject) => {
        waiting.set(index, { resolve, reject });
        const script = element("script", { src: board.metrics[index].file });
        script.addEventListener("error", () => reject(new Error("missing")));
        document.head.append(script);
      }));
    }
    return arrived.get(index);
  }

  function shown(value) {
    if (Number.isNaN(value)) return "–";
    const size = Math.abs(value);
    if (size === Infinity) return value > 0 ? "inf" : "-inf";
    if (size > 0 && size < 0.01) return value.toPrecision(2);
    return value.toFixed(size < 10 ? 3 : size < 1000 ? 2 : 0);
  }

  function dot(k) {
    const made = element("span", { class: "dot", "aria-hidden": "true" });
    made.style.setProperty("--dot", board.colours[k]);
    return made;
  }

  function heads() {
    return methods.map((name, k) => element("th", { scope: "col", title: name }, dot(k), board.short[k]));
  }

  // ---- what is shown lives in the address, so that a view can be linked
  function state() {
    const given = new URLSearchParams(location.hash.slice(1));
    const metric = board.metrics.findIndex((one) => one.name === given.get("metric"));
    return { metric: metric < 0 ? board.headline : metric, case: board.cases.indexOf(given.get("case")), given };
  }

  function go(changes) {
    const { given } = state();
    const next = new URLSearchParams();
    for (const name of ["metric", "structure", "case"]) {
      const value = name in changes ? changes[name] : given.get(name);
      if (value) next.set(name, value);
    }
    history.replaceState(null, "", "#" + next.toString());
    show();
  }

  const picker = document.getElementById("metric");
  const structure = document.getElementById("structure");
  const search = document.getElementById("search");
  const dialog = document.getElementById("case");
  const tip = document.getElementById("tip");
  picker.addEventListener("change", () => go({ metric: board.metrics[picker.value].name, structure: "" }));
  structure.addEventListener("change", () => go({ structure: structure.value }));
  window.addEventListener("hashchange", () => { if (/metric=|case=|structure=/.test(location.hash)) show(); });
  let current = -1;
  let drawn = null;

  async function show() {
    const { metric, case: chosen, given } = state();
    picker.value = String(metric);
    all("section.metric").forEach((section) => { section.hidden = Number(section.dataset.metric) !== metric; });
    let values;
    try {
      values = await load(metric);
    } catch {
      const told = window.DecompressionStream
        ? "The values could not be read: keep the folder data/ beside this page."
        : "The values cannot be read by this browser: it lacks DecompressionStream (browsers have it since 2023).";
      find("#cases tbody").replaceChildren(element("tr", {}, element("td", { class: "left" }, told)));
      return;
    }
    if (current !== metric) {
      current = metric;
      const named = values.labels.length > 1 ? ["", ...values.labels] : values.labels.slice(0, 1);
      structure.replaceChildren(...named.map((name) => element("option", { value: name }, name || "mean of all structures")));
      listCases(values);
    }
    structure.value = values.labels.includes(given.get("structure")) ? given.get("structure") : structure.options[0].value;
    const label = values.labels.length > 1 ? values.labels.indexOf(structure.value) : -1;
    if (!drawn || drawn[0] !== values || drawn[1] !== label) strip(values, label);
    if (chosen >= 0) openCase(chosen, metric, values);
    else if (dialog.open) dialog.close();
  }

  // ---- one row per case, one column per method; only the first rows are elements of the page
  const MOST = 50;
  let listed = { rows: [], column: 0, descending: false, most: MOST };

  function listCases(values) {
    const odd = new Map();
    for (const place of values.status.keys()) {
      const c = Math.floor(place / K) % board.cases.length;
      odd.set(c, (odd.get(c) || 0) + 1);
    }
    const rows = board.cases.map((name, c) => [name, ...values.mean.subarray(c * K, c * K + K), odd.get(c) || 0]);
    listed = { rows, column: 0, descending: false, most: MOST };
    const texts = [["case"], ...methods.map((name, k) => [dot(k), board.short[k]]), ["not ok"]];
    const made = texts.map((text, column) => {
      const press = () => {
        listed.descending = listed.column === column && !listed.descending;
        listed.column = column;
        fill();
      };
      const button = element("button", { type: "button", title: "Sort by this column", click: press }, ...text);
      const more = column > 0 && column <= K ? { title: methods[column - 1] } : { class: column ? "" : "left" };
      return element("th", { scope: "col", ...more }, button);
    });
    find("#cases thead tr").replaceChildren(...made);
    fill();
  }

  function fill() {
    const wanted = search.value.toLowerCase();
    const { rows, column, descending, most } = listed;
    const empty = (row) => Number.isNaN(row[column]);
    const kept = rows.filter((row) => row[0].toLowerCase().includes(wanted));
    kept.sort((a, b) => {
      if (empty(a) || empty(b)) return empty(a) - empty(b);
      return descending ? compare(b[column], a[column]) : compare(a[column], b[column]);
    });
    all("#cases thead th").forEach((head, place) => {
      if (place === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    const made = kept.slice(0, most).map((row) => {
      const open = element("button", { class: "link", type: "button", click: () => go({ case: row[0] }) }, row[0]);
      const cells = row.slice(1, K + 1).map((value) => element("td", {}, shown(value)));
      return element("tr", {}, element("td", { class: "left" }, open), ...cells, element("td", {}, String(row[K + 1])));
    });
    find("#cases tbody").replaceChildren(...made);
    find("#more").hidden = kept.length <= most;
    find("#more").textContent = `Show all ${kept.length} cases`;
  }
  search.addEventListener("input", fill);
  find("#more").addEventListener("click", () => { listed.most = Infinity; fill(); });

  // ---- one case: structures by methods, statuses beside the values or instead of them
  function openCase(c, metric, values) {
    find("#case-title").textContent = board.cases[c];
    const about = board.metrics[metric];
    find("#case-about").textContent =
      `${about.name}${about.unit ? ", " + about.unit : ""}, ${about.direction > 0 ? "higher" : "lower"} is better; mean over seeds`;
    const choice = find("#case-metric");
    choice.replaceChildren(...board.metrics.map((one, index) => element("option", { value: index }, one.name)));
    choice.value = String(metric);
    const head = element("tr", {}, element("th", { class: "left", scope: "col" }, "structure"));
    head.append(...heads());
    const rows = values.labels.map((label, l) => {
      const row = element("tr", {}, element("th", { class: "name", scope: "row" }, label));
      for (let k = 0; k < K; k++) {
        const place = (l * board.cases.length + c) * K + k;
        const [value, status] = [values.values[place], values.status.get(place)];
        const cell = element("td", {}, Number.isNaN(value) && status ? "" : shown(value));
        if (status) cell.append(" ", element("small", {}, status));
        row.append(cell);
      }
      return row;
    });
    const table = element("table", { class: "sortable" }, element("thead", {}, head), element("tbody", {}, ...rows));
    sortable(table);
    find("#case-values").replaceChildren(table);
    const picture = board.pictures[board.cases[c]];
    const follow = (event) => {
      event.preventDefault();
      dialog.close();
      location.hash = picture;
    };
    const link = () => element("a", { href: "#" + picture, click: follow }, "slices of this case");
    find("#case-picture").replaceChildren(...(picture ? [link()] : []));
    if (!dialog.open) dialog.showModal();
  }
  find("#case-metric").addEventListener("change", (event) => go({ metric: board.metrics[event.target.value].name }));
  dialog.addEventListener("close", () => { if (state().case >= 0) go({ case: "" }); });
  find("#case .close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  // ---- strip and box: one line per method, one point per case
  const canvas = document.getElementById("strip");
  const space = canvas.namespaceURI;
  const ROW = 30;

  function draw(tag, attributes, text) {
    const made = document.createElementNS(space, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    canvas.append(made);
    return made;
  }

  function quantile(sorted, share) {
    const place = (sorted.length - 1) * share;
    const low = Math.floor(place);
    const [one, next] = [sorted[low], sorted[low + 1] ?? sorted[low]];
    return place === low || one === next ? one : one + (place - low) * (next - one);
  }

  function ticks(low, high, most) {
    const rough = (high - low) / most || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough) || rough;
    const found = [];
    for (let n = Math.ceil(low / step); n * step <= high + 1e-9 * step; n++) found.push(Number((n * step).toPrecision(10)));
    return found;
  }

  function strip(values, label) {
    if (!drawn || drawn[0] !== values || drawn[1] !== label) cursor = null;
    drawn = [values, label];
    const size = board.cases.length * K;
    const data = label < 0 ? values.mean : values.values.subarray(label * size, (label + 1) * size);
    const finite = data.filter(Number.isFinite);
    canvas.replaceChildren();
    points = methods.map(() => []);
    const width = Math.max(280, canvas.clientWidth);
    const height = K * ROW + 34;
    canvas.setAttribute("viewBox", `0 0 ${width} ${height}`);
    canvas.style.height = `${height}px`;
    if (!finite.length) {
      const infinite = data.some((value) => !Number.isNaN(value));
      draw("text", { x: 8, y: 20 }, infinite ? "No case has a finite value." : "No case has a value.");
      return;
    }
    let low = Math.min(...finite), high = Math.max(...finite);
    if (low === high) { low -= 0.5; high += 0.5; }
    const left = Math.min(230, Math.max(96, width * 0.24)), right = width - 14;
    const x = (value) => left + 6 + (right - left - 6) * (Math.min(high, Math.max(low, value)) - low) / (high - low);
    for (const tick of ticks(low, high, width < 600 ? 3 : 8)) {
      draw("line", { x1: x(tick), x2: x(tick), y1: 2, y2: K * ROW, stroke: "var(--line)" });
      draw("text", { x: x(tick), y: K * ROW + 16, "text-anchor": "middle", class: "muted" }, String(tick));
    }
    const letters = Math.floor(left / 8.2);
    for (let k = 0; k < K; k++) {
      const y = k * ROW + ROW / 2;
      const name = board.short[k];
      const text = name.length > letters ? name.slice(0, letters - 1) + "…" : name;
      draw("text", { x: left - 10, y: y + 4, "text-anchor": "end" }, text).dataset.tip = methods[k];
      const own = board.cases.map((_, c) => [data[c * K + k], c]).filter(([value]) => !Number.isNaN(value));
      if (!own.length) continue;
      const sorted = own.map(([value]) => value).sort((a, b) => a - b);
      const [first, median, third] = [0.25, 0.5, 0.75].map((share) => quantile(sorted, share));
      const tint = { fill: board.colours[k], "fill-opacity": 0.16, stroke: board.colours[k] };
      draw("rect", { x: x(first), y: y - 9, width: Math.max(1, x(third) - x(first)), height: 18, rx: 2, ...tint });
      const radius = own.length > 100 ? 2 : 3.2;
      const dots = [];
      for (const [value, c] of own.sort((a, b) => a[0] - b[0])) {
        const away = ((c * 2654435761) % 1000) / 1000 - 0.5;  // the same case lies on the same height everywhere
        const point = { x: x(value), y: y + 14 * away, c, text: `${board.cases[c]}: ${shown(value)}` };
        points[k].push(point);
        if (Number.isFinite(value)) dots.push(`M${point.x.toFixed(1)} ${point.y.toFixed(1)}h0`);
        else draw("circle", { cx: point.x, cy: point.y, r: radius, class: "off", stroke: board.colours[k] });  // off the scale
      }
      draw("path", { class: "dots", d: dots.join(""), stroke: board.colours[k], "stroke-width": 2 * radius });
      draw("line", { x1: x(median), x2: x(median), y1: y - 11, y2: y + 11, stroke: "var(--ink)", "stroke-width": 2 });
    }
  }

  // ---- a point is found by the pointer, or by the arrow keys: along a method by value, up and down between methods
  let points = [];
  let cursor = null;

  function nearest(event) {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let best = null, least = 36;
    for (const point of points.flat()) {
      const far = (point.x - x) ** 2 + (point.y - y) ** 2;
      if (far < least) [best, least] = [point, far];
    }
    return best;
  }

  function tell(point, x, y) {
    tip.hidden = !point;
    canvas.style.cursor = point ? "pointer" : "";
    if (!point) return;
    tip.textContent = point.text;
    tip.style.left = `${Math.min(x + 12, innerWidth - 200)}px`;
    tip.style.top = `${y + 14}px`;
  }

  canvas.addEventListener("pointermove", (event) => {
    const name = event.target.dataset.tip;
    tell(name ? { text: name } : nearest(event), event.clientX, event.clientY);
  });
  canvas.addEventListener("pointerleave", () => tell(null));
  canvas.addEventListener("click", (event) => {
    const point = nearest(event);
    if (point) go({ case: board.cases[point.c] });
  });
  canvas.addEventListener("blur", () => { tell(null); cursor = null; find(".cursor", canvas)?.remove(); });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (event.key === "Enter" && cursor) {
      event.preventDefault();  // or it would press the button that the dialog focuses
      go({ case: board.cases[points[cursor.k][cursor.i].c] });
    }
    if (!step) return;
    event.preventDefault();
    const k = cursor ? Math.min(K - 1, Math.max(0, cursor.k + step[0])) : points.findIndex((own) => own.length);
    if (k < 0 || !points[k].length) return;
    const i = cursor ? Math.min(points[k].length - 1, Math.max(0, cursor.i + step[1])) : 0;
    cursor = { k, i };
    const point = points[k][i];
    find(".cursor", canvas)?.remove();
    draw("circle", { class: "cursor", cx: point.x, cy: point.y, r: 6 });
    const box = canvas.getBoundingClientRect();
    tell({ text: `${board.short[k]}, ${point.text}` }, box.left + point.x, box.top + point.y);
  });
  all("[data-case]").forEach((button) => button.addEventListener("click", () => go({ case: button.dataset.case })));
  let redraw = 0;
  new ResizeObserver(() => {
    cancelAnimationFrame(redraw);
    redraw = requestAnimationFrame(() => { if (drawn) strip(...drawn); });
  }).observe(canvas.parentElement);

  // the other metrics arrive while nobody waits, so that choosing one is answered at once
  const others = () => board.metrics.forEach((_, index) => load(index).catch(() => {}));
  show().then(() => (window.requestIdleCallback || setTimeout)(others));
})();
