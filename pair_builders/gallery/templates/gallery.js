// The gallery of pairs: filters, and cards that are made as they are scrolled to. Texts are set as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const field = (name) => document.querySelector(`[name="${name}"]`);
const main = document.querySelector("main");
const STEP = 12;
const COLOURS = ["#e3342f", "#0a8f3c", "#2f6df6", "#c026d3", "#d97706", "#0891a5", "#7c3aed", "#65760b"];

const make = (tag, properties = {}, ...children) => {
  const node = document.createElement(tag);
  Object.assign(node, properties);
  node.append(...children);
  return node;
};
const draw = (tag, attributes, ...children) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};
const option = ([value, label]) => make("option", { value: String(value) }, label);

const count = (name) => {
  const counts = new Map();
  for (const row of data.rows) counts.set(row[name], (counts.get(row[name]) ?? 0) + 1);
  return [...counts];
};
field("kind").replaceChildren(
  ...[["", "all"], ...count("k").map(([kind, times]) => [kind, `${data.kinds[kind]} (${times})`])].map(option));
field("type").replaceChildren(
  ...[["", "all"], ...count("t").sort((a, b) => b[1] - a[1]).map(([type, times]) => [type, `${data.texts[type]} (${times})`])].map(option));
const orders = { n: "as in the table", w: "heaviest first", d: "nearest first", far: "farthest first" };
field("order").replaceChildren(...Object.entries(orders).map(option));

const picture = (image, marked, isGone) => {
  if (!image.size) return null;
  const [width, height] = image.size;
  // Regions that stand for a class in the whole image have no place to be drawn at.
  const isWhole = (box) => box[0] <= 0 && box[1] <= 0 && box[2] >= width && box[3] >= height;
  if (!image.src && (image.boxes ?? []).every(isWhole)) return null;
  const unit = Math.max(width, height) / 320;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `image ${image.id}` });
  if (image.src) svg.append(draw("image", { href: image.src, width, height, preserveAspectRatio: "none" }));
  const boxes = image.boxes ?? [];
  const name = (region) => (image.c ? data.texts[image.c[region]] : `region ${region}`);
  const rectangle = (region, attributes) => {
    const [x1, y1, x2, y2] = boxes[region];
    const title = draw("title", {});
    title.textContent = name(region);
    return draw("rect", { x: x1, y: y1, width: Math.max(0, x2 - x1), height: Math.max(0, y2 - y1), ...attributes }, title);
  };
  const numbers = new Map(marked);
  if (field("all").checked || !image.src)
    boxes.forEach((_, region) => numbers.has(region) || svg.append(rectangle(region, { class: "other" })));
  for (const [region] of marked) svg.append(rectangle(region, { class: "halo" }));
  for (const [region, number] of marked)
    svg.append(rectangle(region, { class: `marked${isGone ? " gone" : ""}`, stroke: COLOURS[number % COLOURS.length] }));
  for (const [region, number] of marked) {
    const [x1, y1] = boxes[region];
    const label = draw("text", {
      x: Math.min(Math.max(x1, 0) + 4 * unit, width - 40 * unit), y: Math.max(y1, 0) + 14 * unit, "font-size": 12 * unit,
      "stroke-width": 3 * unit, fill: COLOURS[number % COLOURS.length],
    });
    label.textContent = image.c ? name(region) : String(number + 1);
    svg.append(label);
  }
  return svg;
};

// The class names of an image's regions, those of marked regions first.
const names = (image, marked) => {
  const numbers = new Map(marked);
  const items = image.c
    .map((text, region) => [data.texts[text], numbers.get(region)])
    .sort((a, b) => (a[1] === undefined) - (b[1] === undefined));
  return make("ul", { className: "names" }, ...items.slice(0, 24).map(([text, number]) => {
    const item = make("li", {}, text);
    if (number !== undefined) {
      item.className = "named";
      item.style.borderColor = COLOURS[number % COLOURS.length];
    }
    return item;
  }));
};

const side = (row, index, same, isGone) => {
  const end = row.e[index];
  const image = data.images[end.i];
  const marked = row.m[index];
  const given = (end.g ?? []).map(([text, times]) => (times > 1 ? `${data.texts[text]} ×${times}` : data.texts[text]));
  const node = make("div", { className: `end-${"ab"[index]}` });
  if (!same) node.append(make("h2", {}, end.q));
  node.append(
    make("div", { className: "answer" }, end.a === undefined ? "answer not known" : end.a || "(no answer)"),
    make("div", { className: "given" }, end.new ? "set by the pair" : given.length > 1 || (end.g && end.g[0]?.[1] > 1) ? given.join(", ") : ""));
  const drawn = picture(image, marked, isGone && index === 1);
  if (drawn) node.append(drawn);
  if (!image.src && image.c) node.append(names(image, marked));
  node.append(make("div", { className: "soft id" }, `question ${end.id} · image ${image.id}`));
  return node;
};

const card = (row) => {
  const same = row.e[0].q === row.e[1].q;
  const kind = data.kinds[row.k];
  const isGone = kind.startsWith("masked");
  const node = make("article");
  node.dataset.kind = kind;
  if (same) node.append(make("h2", {}, row.e[0].q));
  node.append(make("div", { className: "ends" }, side(row, 0, same, isGone), side(row, 1, same, isGone)));
  const facts = [
    ["kind", kind], ["type", data.texts[row.t]], ["alignment", data.alignments[row.al]], ["weight", row.w],
    ["distance", row.d ?? "unknown"], ["pair", row.n],
  ];
  node.append(make("div", { className: "facts" },
    ...facts.map(([name, value]) => make("span", {}, `${name} `, make("b", {}, String(value))))));
  return node;
};

let kept = [];
let made = 0;
const more = () => {
  main.append(...kept.slice(made, made + STEP).map(card));
  made = Math.min(made + STEP, kept.length);
};
const watcher = new IntersectionObserver((entries) => {
  if (entries.some((entry) => entry.isIntersecting) && made < kept.length) {
    more();
    // A page taller than what was added: look again.
    watcher.unobserve(entries[0].target);
    watcher.observe(entries[0].target);
  }
}, { rootMargin: "1200px" });

const filter = () => {
  const [kind, type, order] = ["kind", "type", "order"].map((name) => field(name).value);
  const words = field("words").value.trim().toLowerCase();
  const has = (end) => `${end.q} ${end.a ?? ""}`.toLowerCase().includes(words);
  kept = data.rows.filter((row) =>
    (kind === "" || row.k === Number(kind)) && (type === "" || row.t === Number(type)) && (!words || row.e.some(has)));
  const far = (row) => row.d ?? -1;
  if (order === "w") kept.sort((a, b) => b.w - a.w);
  if (order === "d") kept.sort((a, b) => (a.d ?? Infinity) - (b.d ?? Infinity));
  if (order === "far") kept.sort((a, b) => far(b) - far(a));
  document.querySelector("output").textContent = kept.length ? `${kept.length} shown` : "no pair fits";
  main.replaceChildren();
  made = 0;
  more();
};
document.querySelector("form").addEventListener("input", filter);
document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
filter();
watcher.observe(document.querySelector(".end"));
