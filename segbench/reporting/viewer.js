"use strict";
// A worst case to scroll through: up to four methods side by side, contours or errors, slices or projections.
// Codes of voxels are unpacked and drawn here; pictures are shown and never read. Texts enter as text nodes only.
(() => {
  const { element, inflated } = window.segbench;
  const UNKNOWN = 255, PANELS = 4;
  const MISSED = "#4aa8ff", ADDED = "#ffb000", TRUTH = "#ffffff";
  const waiting = new Map();
  window.segbench.case = (name, document_) => waiting.get(name)(document_);

  function option(text, value) {
    return element("option", { value }, text);
  }

  function labelled(text, control) {
    return element("label", {}, `${text} `, control);
  }

  async function load(holder) {
    const { name, src } = holder.dataset;
    const told = await new Promise((resolve, reject) => {
      waiting.set(name, resolve);
      const script = element("script", { src });
      script.addEventListener("error", () => reject(new Error("missing")));
      document.head.append(script);
    });
    const maps = await Promise.all(told.maps.map(async (one) => ({ ...one, codes: await inflated(one.codes) })));
    return { ...told, maps, truth: await inflated(told.truth), wrong: await inflated(told.wrong) };
  }

  function picture(address) {
    if (!address) return Promise.resolve(null);
    return new Promise((resolve) => {
      const image = new Image();
      image.addEventListener("load", () => resolve(image));
      image.addEventListener("error", () => resolve(null));
      image.src = address;
    });
  }

  async function begin(holder) {
    let scene;
    try {
      scene = await load(holder);
    } catch {
      holder.replaceChildren(element("p", { class: "note" }, "The slices could not be read: keep the folders beside this page."));
      return;
    }
    const [tiles, highest] = await Promise.all([picture(scene.image), picture(scene.highest)]);
    view(holder, scene, tiles, highest);
    holder.parentElement.classList.add("viewed");
  }

  // ---- what is seen: a slice, or along one of three axes what any slice holds
  function planes(scene) {
    const [S, R, C] = scene.shape;
    const [s, r, c] = scene.spacing;
    const at = (one, i, row, column) => (one * R + row) * C + column;
    return [
      { name: "slices", count: S, rows: R, columns: C, aspect: r / c, deep: 1, index: (i, row, column) => at(i, 0, row, column) },
      { name: `maximum intensity ${scene.views[0]}`, count: 1, rows: R, columns: C, aspect: r / c, deep: S, index: (i, row, column, d) => at(d, 0, row, column) },
      { name: `maximum intensity ${scene.views[1]}`, count: 1, rows: S, columns: C, aspect: s / c, deep: R, index: (i, row, column, d) => at(row, 0, d, column), side: true },
      { name: `maximum intensity ${scene.views[2]}`, count: 1, rows: S, columns: R, aspect: s / r, deep: C, index: (i, row, column, d) => at(row, 0, column, d), side: true },
    ];
  }

  function view(holder, scene, tiles, highest) {
    const every = planes(scene).filter((plane) => scene.shape[0] > 1 || plane.name === "slices");
    const state = { plane: every[0], slice: scene.start, structure: -1, overlay: "contours" };
    const title = holder.dataset.title;

    const slider = element("input", { type: "range", min: 0, max: scene.shape[0] - 1, step: 1, "aria-label": "slice" });
    slider.value = scene.start;
    const where = element("output", { class: "where" });
    const seen = element("select", {}, ...every.map((plane, n) => option(plane.name, n)));
    const overlay = element("select", {}, option("contours", "contours"), option("errors", "errors"));
    const structure = element("select", {}, option("all structures", -1), ...scene.structures.map((name, n) => option(name, n)));
    const controls = element("div", { class: "controls" }, labelled("view", seen), labelled("show", overlay));
    if (scene.structures.length > 1) controls.append(labelled("structure", structure));
    controls.append(labelled("slice", slider), where);

    const shown = scene.maps.map((_, n) => n).slice(0, PANELS);
    const panels = [panel(-1), ...shown.map((n) => panel(n))];
    const group = element("div", { class: "panels", tabindex: 0, role: "group", "aria-label": `Case ${title}: arrow keys go from slice to slice` });
    group.append(...panels.map((one) => one.figure));
    const legend = element("p", { class: "note key" });
    const notes = scene.notes.length ? [element("p", { class: "note" }, `Shown: ${scene.notes.join("; ")}.`)] : [];
    holder.replaceChildren(controls, group, legend, ...notes);

    function panel(n) {
      const canvas = element("canvas", { role: "img" });
      let head = element("span", {}, "truth");
      if (n >= 0 && scene.maps.length > PANELS) {
        head = element("select", { "aria-label": "method of this panel" }, ...scene.maps.map((one, m) => option(one.name, m)));
        head.value = n;
      } else if (n >= 0) {
        head = element("span", {}, scene.maps[n].name);
      }
      const value = element("strong", {});
      const figure = element("figure", {}, element("figcaption", {}, head, " ", value), canvas);
      const made = { figure, canvas, value, map: n };
      head.addEventListener("change", () => { made.map = Number(head.value); draw(); });
      return made;
    }

    // Codes of a plane: of a projection the first voxel that belongs to the structures chosen.
    function seenOf(codes) {
      const { plane, slice } = state;
      const flat = new Uint8Array(plane.rows * plane.columns);
      const wanted = members();
      for (let row = 0; row < plane.rows; row++) {
        const from = plane.side && !scene.upright ? plane.rows - 1 - row : row;
        for (let column = 0; column < plane.columns; column++) {
          let code = 0;
          for (let d = 0; d < plane.deep && !code; d++) code = wanted[codes[plane.index(slice, from, column, d)]];
          flat[row * plane.columns + column] = code;
        }
      }
      return flat;
    }

    // Code -> what it counts as: itself, or 1 within the structure chosen; unknown voxels stay unknown on slices.
    function members() {
      const table = new Uint8Array(256);
      scene.combinations.forEach((own, code) => {
        table[code] = state.structure < 0 ? code : own.includes(state.structure) ? 1 : 0;
      });
      table[UNKNOWN] = state.plane.deep > 1 ? 0 : UNKNOWN;
      return table;
    }

    function colourOf(code) {
      if (state.structure >= 0) return scene.colours[state.structure];
      return scene.colours[(scene.combinations[code] || [0])[0]] || scene.colours[0];
    }

    function outline(context, flat, scale, tall, colour, width, dash) {
      const { rows, columns } = state.plane;
      const paths = new Map();
      const edge = (code, x1, y1, x2, y2) => {
        if (!code || code === UNKNOWN) return;
        if (!paths.has(code)) paths.set(code, new Path2D());
        const path = paths.get(code);
        path.moveTo(x1 * scale, y1 * tall);
        path.lineTo(x2 * scale, y2 * tall);
      };
      const code = (row, column) => (row < 0 || column < 0 || row >= rows || column >= columns ? 0 : flat[row * columns + column]);
      for (let row = 0; row <= rows; row++) {
        for (let column = 0; column <= columns; column++) {
          const own = code(row, column), above = code(row - 1, column), left = code(row, column - 1);
          if (own !== above) { edge(own, column, row, column + 1, row); edge(above, column, row, column + 1, row); }
          if (own !== left) { edge(own, column, row, column, row + 1); edge(left, column, row, column, row + 1); }
        }
      }
      context.lineWidth = width;
      context.setLineDash(dash);
      for (const [own, path] of paths) {
        context.strokeStyle = colour || colourOf(own);
        context.stroke(path);
      }
      context.setLineDash([]);
    }

    // Fills pixels: paint(k) gives [red, green, blue, alpha] or null.
    function fill(context, width, height, paint) {
      const { rows, columns } = state.plane;
      const small = element("canvas", { width: columns, height: rows });
      const inner = small.getContext("2d");
      const pixels = inner.createImageData(columns, rows);
      for (let k = 0; k < rows * columns; k++) {
        const colour = paint(k);
        if (colour) pixels.data.set(colour, 4 * k);
      }
      inner.putImageData(pixels, 0, 0);
      context.drawImage(small, 0, 0, width, height);
    }

    const rgb = (hex, alpha) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)).concat(alpha);

    function background(context, width, height) {
      const { plane, slice } = state;
      context.fillStyle = "#20252c";
      context.fillRect(0, 0, width, height);
      const [S, R, C] = scene.shape;
      if (plane.name === "slices" && tiles) {
        const [x, y] = [C * (slice % scene.across), R * Math.floor(slice / scene.across)];
        context.drawImage(tiles, x, y, C, R, 0, 0, width, height);
      } else if (plane.name !== "slices" && highest) {
        const cell = Math.max(R, S);
        const place = planes(scene).findIndex((one) => one.name === plane.name) - 1;
        context.save();
        if (plane.side && !scene.upright) { context.translate(0, height); context.scale(1, -1); }
        context.drawImage(highest, 0, cell * place, plane.columns, plane.rows, 0, 0, width, height);
        context.restore();
      }
    }

    function draw() {
      const { plane, overlay: way } = state;
      const wide = (panels[0].canvas.clientWidth || 360) * devicePixelRatio;
      const scale = Math.max(1, Math.ceil(wide / plane.columns));
      const tall = scale * plane.aspect;
      const thick = (plane.columns * scale) / (wide / devicePixelRatio);  // a pixel of the page
      const [width, height] = [plane.columns * scale, Math.max(1, Math.round(plane.rows * tall))];
      const truth = seenOf(scene.truth);
      for (const one of panels) {
        Object.assign(one.canvas, { width, height });
        const context = one.canvas.getContext("2d");
        context.imageSmoothingEnabled = false;
        background(context, width, height);
        const map = one.map < 0 ? null : scene.maps[one.map];
        const flat = map ? seenOf(map.codes) : truth;
        let [missed, added, own] = [0, 0, 0];
        for (let k = 0; k < truth.length; k++) {
          if (truth[k] === UNKNOWN) continue;
          own += truth[k] > 0;
          missed += truth[k] > 0 && flat[k] !== truth[k];
          added += flat[k] > 0 && flat[k] !== truth[k];
        }
        if (way === "errors" && map) {
          const [lost, more] = [rgb(MISSED, 150), rgb(ADDED, 150)];
          const wrong = (k) => truth[k] !== UNKNOWN && flat[k] !== truth[k];
          fill(context, width, height, (k) => (wrong(k) ? (truth[k] > 0 ? lost : more) : null));
        } else if (way === "errors") {
          disagreement(context, width, height);
        } else if (!tiles) {
          fill(context, width, height, (k) => (flat[k] && flat[k] !== UNKNOWN ? rgb(colourOf(flat[k]), 90) : null));
        }
        if (map && way === "contours") outline(context, flat, scale, tall, null, 2 * thick, []);
        outline(context, truth, scale, tall, map || way === "errors" ? TRUTH : null, map ? 1.2 * thick : 2 * thick, map && way === "contours" ? [3 * thick, 3 * thick] : []);
        one.value.textContent = map ? map.value : "";
        const said = map ? `${map.name}: ${missed} missed and ${added} added pixels of ${own}` : `truth: ${own} pixels`;
        one.canvas.setAttribute("aria-label", `${said}, ${told()}`);
        one.canvas.title = said;
      }
      where.textContent = told();
      slider.setAttribute("aria-valuetext", told());
      slider.disabled = plane.count === 1;
      explain(way);
    }

    // How many methods err: of a projection the most along the line of sight.
    function disagreement(context, width, height) {
      const { plane, slice } = state;
      fill(context, width, height, (k) => {
        const [row, column] = [Math.floor(k / plane.columns), k % plane.columns];
        const from = plane.side && !scene.upright ? plane.rows - 1 - row : row;
        let most = 0;
        for (let d = 0; d < plane.deep; d++) most = Math.max(most, scene.wrong[plane.index(slice, from, column, d)]);
        return most ? [255, 70, 70, 60 + Math.round((180 * most) / scene.methods)] : null;
      });
    }

    function told() {
      if (state.plane.name !== "slices") return state.plane.name;
      return `slice ${scene.slices[state.slice]} (${state.slice + 1} of ${scene.shape[0]})`;
    }

    function explain(way) {
      const sample = (colour, text) => [element("span", { class: "dot", style: `--dot:${colour}`, "aria-hidden": "true" }), text];
      legend.replaceChildren(
        ...(way === "errors"
          ? [...sample(MISSED, "missed or taken for another "), ...sample(ADDED, "added "), ...sample("#ff4646", `in the first panel: the more of the ${scene.methods} methods err, the redder (all structures). `), "White: the truth."]
          : ["Colours: the structures of the prediction; dotted white: the truth. The number is the value of the case."]),
      );
    }

    function go(slice) {
      state.slice = Math.min(scene.shape[0] - 1, Math.max(0, slice));
      slider.value = state.slice;
      draw();
    }

    slider.addEventListener("input", () => go(Number(slider.value)));
    seen.addEventListener("change", () => { state.plane = every[Number(seen.value)]; draw(); });
    overlay.addEventListener("change", () => { state.overlay = overlay.value; draw(); });
    structure.addEventListener("change", () => { state.structure = Number(structure.value); draw(); });
    group.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 5, PageDown: -5, Home: -Infinity, End: Infinity };
      if (!(event.key in steps) || event.target !== group) return;
      event.preventDefault();
      go(state.slice + steps[event.key]);
    });
    group.addEventListener("wheel", (event) => {
      if (document.activeElement !== group || slider.disabled) return;  // the page scrolls unless the panels were chosen
      event.preventDefault();
      go(state.slice + Math.sign(event.deltaY));
    }, { passive: false });
    let width = 0;
    new ResizeObserver(() => {
      if (panels[0].canvas.clientWidth === width) return;
      width = panels[0].canvas.clientWidth;
      draw();
    }).observe(group);
    draw();
  }

  // ---- a case is loaded when it comes into sight
  const sight = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      sight.unobserve(target);
      begin(target);
    }
  }, { rootMargin: "200px" });
  document.querySelectorAll(".viewer").forEach((holder) => sight.observe(holder));
})();
