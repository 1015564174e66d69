// The browser of examples: a list, filters, one example at a time. Texts are set as text, never as markup.
for (const root of document.querySelectorAll("[data-examples]")) {
  const data = JSON.parse(document.getElementById(root.dataset.examples).textContent);
  const field = (name) => root.querySelector(`[name="${name}"]`);
  const list = root.querySelector(".list");
  const shown = root.querySelector(".shown");
  const count = root.querySelector(".turn output");
  const text = (index) => (index < 0 ? null : data.texts[index]);
  const make = (tag, properties = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in node) node[name] = value;
      else node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  };
  const draw = (tag, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  };
  const right = (row, run) => row.c[run] >= data.right;
  const verdict = (row, run) => {
    if (row.c[run] < 0) return make("span", { className: "soft", title: "not scored" }, "–");
    const good = right(row, run);
    return make("span", { className: good ? "good" : "bad", title: good ? "right" : "wrong" }, good ? "✓" : "✗");
  };
  const fill = (select, options) =>
    select.replaceChildren(...options.map(([value, label]) => make("option", { value: String(value) }, label)));

  const kinds = [...new Set(data.rows.map((row) => row.t))].sort((a, b) => text(a).localeCompare(text(b), "en"));
  const outcomes = [["", "everything"], ["right", "right in every run"], ["wrong", "wrong in every run"]];
  if (data.runs.length > 1) {
    outcomes.push(["changed", "changed between runs"], ["gained", "right in A, wrong in B"]);
  } else {
    outcomes[1][1] = "right";
    outcomes[2][1] = "wrong";
  }
  const runs = data.runs.map(([name], index) => [index, name]);
  fill(field("split"), [["", "all"], ...data.splits.map((name, index) => [index, name])]);
  field("split").value = String(data.first);
  fill(field("type"), [["", "all"], ...kinds.map((kind) => [kind, text(kind)])]);
  fill(field("outcome"), outcomes);
  fill(field("one"), runs);
  fill(field("other"), runs);
  if (data.runs.length > 1) {
    field("one").value = String(data.runs.length - 1);
    field("outcome").value = "changed";
  }

  let kept = [];
  let at = 0;
  let layer = "attention";

  const overlay = (row, image) => {
    const seen = Object.keys(row.g ?? {});
    if (!image && !seen.length) return null;
    const corners = seen.flatMap((run) => row.g[run].boxes);
    const farthest = (side) => Math.max(1, ...corners.map((box) => box[side]));
    const [width, height] = image ? image.slice(1) : [farthest(2), farthest(3)];
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
    svg.setAttribute("aria-label", `image ${row.im}`);
    if (image) svg.append(draw("image", { href: image[0], width, height }));
    const boxes = draw("g", {});
    svg.append(boxes);
    const holder = make("figure", { className: "seen" }, svg);
    if (!seen.length) return holder;
    const bar = make("div", { className: "layers" });
    const layers = ["attention", "gradient"].filter((name) => seen.some((run) => row.g[run][name].length));
    const which = make("select", { ariaLabel: "regions of" });
    fill(which, seen.map((run) => [run, data.runs[run][0]]));
    const caption = make("figcaption", { className: "soft" });
    const paint = () => {
      boxes.replaceChildren();
      for (const button of bar.querySelectorAll("button")) button.ariaPressed = String(button.value === layer);
      const regions = row.g[which.value];
      const shares = regions[layer] ?? [];
      caption.textContent = shares.length
        ? `Share of the ${layer} on each region; the strongest three in %.`
        : "The image alone.";
      const most = Math.max(...shares.map(Math.abs), 1e-9);
      const ranked = shares.map((share, index) => [share, index]).sort((a, b) => Math.abs(a[0]) - Math.abs(b[0]));
      const unit = Math.max(width, height) / 320;
      ranked.forEach(([share, index], rank) => {
        const [x1, y1, x2, y2] = regions.boxes[index];
        const strength = Math.abs(share) / most;
        const box = draw("rect", {
          x: x1, y: y1, width: x2 - x1, height: y2 - y1,
          class: `region ${layer}`, "fill-opacity": (0.34 * strength).toFixed(3),
          "stroke-opacity": (0.25 + 0.75 * strength).toFixed(3), "stroke-width": (1 + 1.5 * strength) * unit,
        });
        const tip = draw("title", {});
        tip.textContent = `${layer} ${(100 * share).toFixed(1)} %`;
        box.append(tip);
        boxes.append(box);
        if (ranked.length - rank <= 3) {
          const label = draw("text", {
            x: x1 + 3 * unit, y: y1 + 13 * unit,
            "stroke-width": 3 * unit, class: "share",
          });
          label.style.fontSize = `${12 * unit}px`;
          label.textContent = (100 * share).toFixed(0);
          boxes.append(label);
        }
      });
    };
    for (const name of [...layers, "image"]) {
      const button = make("button", { type: "button", value: name }, name);
      button.addEventListener("click", () => { layer = name; paint(); });
      bar.append(button);
    }
    if (seen.length > 1) bar.append(which);
    which.addEventListener("change", paint);
    if (layer !== "image" && !layers.includes(layer)) layer = layers[0] ?? "image";
    holder.append(bar, caption);
    paint();
    return holder;
  };

  const answers = (row) => {
    const total = row.a.reduce((sum, [, times]) => sum + times, 0);
    const items = row.a.map(([answer, times]) =>
      make("li", {},
        make("span", { className: "answer" }, text(answer) || "(empty)"),
        make("meter", { min: 0, max: total, value: times, ariaLabel: `${times} of ${total}` }),
        make("span", { className: "times" }, String(times))));
    const head = make("h4", {}, total === 1 ? "The answer" : `The ${total} answers`);
    return make("div", {}, head, make("ul", { className: "given" }, ...items));
  };

  const predictions = (row) => {
    const lines = data.runs.map(([name, arm], run) => {
      const label = data.arms[arm] === name ? name : `${name}`;
      const answer = text(row.p[run]);
      const score = row.c[run] < 0 ? "–" : `${row.c[run].toFixed(0)} %`;
      return make("tr", {},
        make("td", {}, verdict(row, run)),
        make("th", { scope: "row" }, label),
        make("td", { className: "answer" }, answer === null ? "no answer" : answer || "(empty)"),
        make("td", { className: "number" }, score));
    });
    return make("div", {}, make("h4", {}, "Predictions"), make("table", {}, make("tbody", {}, ...lines)));
  };

  const show = () => {
    const none = !kept.length;
    field("back").disabled = none || at === 0;
    field("on").disabled = none || at === kept.length - 1;
    count.textContent = none ? "no example fits" : `${at + 1} of ${kept.length}`;
    for (const item of list.querySelectorAll("[aria-current]")) item.removeAttribute("aria-current");
    if (none) {
      shown.replaceChildren();
      return;
    }
    const row = kept[at];
    const item = list.children[at].firstChild;
    item.setAttribute("aria-current", "true");
    // Scrolls the list alone: scrollIntoView would move the page as well.
    const above = item.offsetTop - list.offsetTop;
    if (above < list.scrollTop) list.scrollTop = above;
    else if (above + item.offsetHeight > list.scrollTop + list.clientHeight)
      list.scrollTop = above + item.offsetHeight - list.clientHeight;
    const facts = [text(row.t), text(row.k), data.splits[row.s], `question ${row.id}`, `image ${row.im}`];
    const seen = overlay(row, row.i < 0 ? null : data.images[row.i]);
    shown.replaceChildren(
      make("h3", {}, row.q),
      make("p", { className: "soft" }, facts.join(" · ")),
      make("div", { className: seen ? "sides" : "" }, ...(seen ? [seen] : []), make("div", {}, predictions(row), answers(row))));
  };

  const fits = () => {
    const [split, kind, outcome] = ["split", "type", "outcome"].map((name) => field(name).value);
    const [one, other] = ["one", "other"].map((name) => Number(field(name).value));
    const wanted = field("text").value.trim().toLowerCase();
    for (const label of root.querySelectorAll(".pair")) label.hidden = outcome !== "gained";
    return data.rows.filter((row) =>
      (split === "" || row.s === Number(split)) &&
      (kind === "" || row.t === Number(kind)) &&
      (outcome === "" || (outcome === "gained" ? right(row, one) && row.c[other] >= 0 && !right(row, other) : row.o === outcome)) &&
      (wanted === "" || row.q.toLowerCase().includes(wanted) ||
        [...row.p, ...row.a.map(([answer]) => answer)].some((answer) => answer >= 0 && text(answer).toLowerCase().includes(wanted))));
  };

  const update = () => {
    kept = fits();
    at = 0;
    list.replaceChildren(...kept.map((row, index) => {
      const marks = make("span", { className: "marks" }, ...data.runs.map((_, run) => verdict(row, run)));
      const button = make("button", { type: "button" }, make("span", {}, row.q), marks);
      button.addEventListener("click", () => { at = index; show(); });
      return make("li", {}, button);
    }));
    list.scrollTop = 0;
    show();
  };

  const turn = (step) => {
    at = Math.min(Math.max(at + step, 0), kept.length - 1);
    show();
  };
  field("back").addEventListener("click", () => turn(-1));
  field("on").addEventListener("click", () => turn(1));
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    turn(step);
    list.children[at]?.firstChild.focus({ preventScroll: true });
  });
  root.querySelector(".controls").addEventListener("input", update);
  root.hidden = false;
  update();
  if (!kept.length) {
    field("outcome").value = "";
    update();
  }
}
