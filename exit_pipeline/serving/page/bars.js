// One ranked item as a person reads it: place, move, bar, and why.

const chance = (logit) => 1 / (1 + Math.exp(-logit));
export const percent = (p) => `${(100 * p).toFixed(1)} %`;
const points = (p) => `+${(100 * p).toFixed(1)} points`;
const signed = (x) => `${x < 0 ? "−" : "+"}${Math.abs(x).toFixed(3)}`;

/** Makes an element; text is set as text, so that no id or reason is ever read as HTML. */
export function make(tag, traits = {}, ...children) {
  const { text, vars = {}, ...attributes } = traits;
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  for (const [name, value] of Object.entries(vars)) element.style.setProperty(name, value);
  element.append(...children.filter(Boolean));
  return element;
}

/** Splits a score on the scale of chances: own interest, then each source's share of the lift. */
export function split(item) {
  const own = chance(item.own + item.bias);
  const carried = Object.values(item.carry).reduce((sum, z) => sum + z, 0);
  const share = carried === 0 ? 0 : (item.score - own) / carried;
  const lift = Object.entries(item.carry).map(([source, z]) => [source, z * share]);
  return { own, lift };
}

function bar(item, scale) {
  const { own, lift } = split(item);
  const parts = lift.map(([, p], n) => make("i", { class: `s${n % 4}`, vars: { "--w": p / scale } }));
  const told = [`own ${percent(own)}`, ...lift.map(([source, p]) => `${source} ${points(p)}`)];
  return make("div", { class: "bar", role: "img", "aria-label": told.join(", ") },
    make("i", { class: "own", vars: { "--w": own / scale } }), ...parts);
}

/** Says where an item goes on the way from scene A to B, or where it came from; `there` is its rank in the other. */
function move(item, there, side, looked) {
  const other = side === "a" ? "B" : "A";
  if (there === undefined) return make("p", { class: "move", text: `not in the first ${looked} of ${other}` });
  const by = side === "a" ? item.rank - there : there - item.rank;
  if (by === 0) return make("p", { class: "move", text: `= in the same place in ${other}` });
  const [way, mark, word] = by > 0 ? ["up", "▲", "up"] : ["down", "▼", "down"];
  const place = side === "a" ? `to #${there} in B` : `from #${there} in A`;
  return make("p", { class: `move ${way}`, text: `${mark} ${word} ${Math.abs(by)} ${place}` });
}

/** Says what each source brought: those that say something, or that their interest was held back. */
function why(item) {
  const { own, lift } = split(item);
  const told = lift.filter(([source, p]) => p >= 0.0005 || item.p_source[source] >= 0.05);
  const parts = told.map(([source, p]) => make("li", {},
    make("b", { text: `${source} ${points(p)}` }),
    `: interest ${item.p_source[source].toFixed(2)}, of which this scene lets ${item.p_transfer[source].toFixed(2)} transfer`));
  return make("ul", { class: "why" }, make("li", {}, make("b", { text: `own ${percent(own)}` }),
    parts.length ? "" : ": nothing to speak of came over"), ...parts);
}

function numbers(item) {
  const carried = Object.entries(item.carry);
  const logit = carried.reduce((sum, [, z]) => sum + z, item.own + item.bias);
  const row = ([name, value]) => make("tr", {}, make("th", { scope: "row", text: name }), make("td", { text: value }));
  const rows = [["own interest", signed(item.own)], ["calibration", signed(item.bias)],
    ...carried.map(([source, z]) => [source, signed(z)]), ["logit, their sum", signed(logit)], ["score", item.score.toFixed(4)]];
  return make("details", {}, make("summary", { text: "numbers", "aria-label": `numbers of ${item.item_id}` }),
    make("table", {}, make("tbody", {}, ...rows.map(row))));
}

/**
 * Returns an item of the list.
 * @param item Of `/v1/rank`.
 * @param scale The chance that fills the bar.
 * @param there The item's rank in the other scene, if it has one.
 * @param side "a" or "b".
 * @param looked How many items of the other scene are known.
 */
export function itemOf(item, scale, there, side, looked) {
  const rulings = item.policy.map((ruling) => make("p", { class: "notice rule" },
    make("b", { text: `Rule: ${ruling.source} is ${ruling.effect}. ` }), `${ruling.reason} (${ruling.rule})`));
  return make("li", { "data-item": item.item_id },
    make("p", { class: "head" }, make("b", { class: "rank", text: item.rank }),
      make("span", { class: "name" }, make("b", { text: item.unit ?? "unit unknown" }), item.unit === item.item_id ? "" : ` ${item.item_id}`),
      make("b", { class: "score", text: percent(item.score) })),
    bar(item, scale), move(item, there, side, looked), why(item), ...rulings, numbers(item));
}
