// The page at `/`: what is chosen stands in the address after «#», and whatever changes it asks anew.
import { itemOf, make, percent, split } from "./bars.js";

const SIDES = { a: "A", b: "B" };
const LOOKED = 200; // the most that a ranking returns, so that places beyond the shown ones are known
const byId = (id) => document.getElementById(id);
const section = (side) => document.querySelector(`[data-side=${side}]`);
const still = matchMedia("(prefers-reduced-motion: reduce)");
let model = null;
let turn = 0;

class Failure extends Error {}

async function asked(path, body) {
  const key = byId("key").value;
  const headers = { ...(body && { "Content-Type": "application/json" }), ...(key && { "X-API-Key": key }) };
  const answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) })
    .catch(() => { throw new Failure("The service cannot be reached. Is it running?"); });
  if (answer.status === 401) byId("locked").hidden = false;
  const told = await answer.json().catch(() => ({}));
  if (answer.ok) return told;
  const { what = `the service answered ${answer.status}`, where, mend } = told.error ?? {};
  const words = `${what}${where ? ` (${where})` : ""}${mend ? `: ${mend}` : ""}.`.replace(/`([^`]+)`/g, "«$1»");
  throw new Failure(words[0].toUpperCase() + words.slice(1));
}

// --- what is chosen ---

const chosen = () => new URLSearchParams(location.hash.slice(1));

function choose(changes, replace = false) {
  const next = chosen();
  for (const [name, value] of Object.entries(changes)) next.set(name, value);
  if (replace) history.replaceState(null, "", `#${next}`);
  else location.hash = next;
}

/** Fills in what the address leaves open: a first example, and two scenes that differ in one column.
 *  The day begins with the night, of which a log says least: the page begins with the evening. */
function complete(users) {
  const now = chosen();
  const open = { user: users[0] ?? "", k: "10" };
  const last = Object.keys(model.scene).at(-1);
  for (const side of Object.keys(SIDES)) {
    if (model.challenger) open[side] = "champion";
    for (const [column, values] of Object.entries(model.scene)) {
      const first = column === "hour_band" ? values.at(-1) : values[0];
      const other = side === "b" && column === last && values.find((value) => value !== first);
      open[`${side}.${column}`] = other || first;
    }
  }
  choose(Object.fromEntries(Object.entries(open).filter(([name]) => !now.has(name))), true);
}

function sceneOf(side, now) {
  const given = Object.keys(model.scene).map((column) => [column, now.get(`${side}.${column}`)]);
  return Object.fromEntries(given.filter(([, value]) => value));
}

function chooser(name, label, options) {
  const select = make("select", { id: name, name }, ...options.map(([value, text]) => make("option", { value, text })));
  return make("p", {}, make("label", { for: name, text: label }), select);
}

function build(users) {
  byId("about").textContent = `EXIT ranking · ${model.profile}`;
  byId("users").replaceChildren(...users.map((user) => make("option", { value: user })));
  const key = (name, text) => make("li", {}, make("i", { class: `swatch ${name}` }), text);
  byId("legend").replaceChildren(key("own", "own interest"),
    ...model.sources.map((source, n) => key(`s${n % 4}`, `carried over from ${source}`)), make("li", { id: "scale" }));
  for (const [side, name] of Object.entries(SIDES)) {
    const columns = Object.entries(model.scene).map(([column, values]) => chooser(
      `${side}.${column}`, column.replaceAll("_", " "), [...values.map((v) => [v, v]), ["", "not said"]]));
    const versions = model.challenger && chooser(side, "version",
      [["champion", `champion ${model.version}`], ["challenger", `challenger ${model.challenger}`]]);
    section(side).replaceChildren(make("h2", { id: `name-${side}`, text: `Scene ${name}` }),
      make("fieldset", {}, make("legend", { class: "unseen", text: `Scene ${name}` }), ...columns, versions),
      make("p", { class: "note made" }), make("ul", { class: "flags", "aria-label": "Notices" }), make("ol", { class: "items" }));
  }
}

// --- what comes back ---

async function ask(side, now) {
  const by = now.get(side) === "challenger" ? { served_by: "challenger" } : {};
  const body = { user_id: now.get("user"), scene: sceneOf(side, now), k: LOOKED, ...by };
  return asked("/v1/rank", body).catch((error) => error);
}

async function refresh() {
  const mine = ++turn;
  document.body.setAttribute("aria-busy", "true");
  try {
    if (!model) {
      const [found, { users }] = await Promise.all([asked("/v1/model"), asked("/v1/users")]);
      model = found;
      build(users);
      complete(users);
    }
    const now = chosen();
    for (const [name, value] of now) {
      const field = byId(name);
      if (field) field.value = value;
    }
    if (!now.get("user")) throw new Failure("Whose ranking? Type the id of a user.");
    const answers = await Promise.all(Object.keys(SIDES).map((side) => ask(side, now)));
    if (mine === turn) show(now, Object.fromEntries(Object.keys(SIDES).map((side, n) => [side, answers[n]])));
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (mine === turn) complain([error.message]);
  } finally {
    if (mine === turn) document.body.removeAttribute("aria-busy");
  }
}

function complain(messages) {
  byId("problem").replaceChildren(...[...new Set(messages)].map((text) => make("p", { class: "notice bad", text })));
}

function show(now, answers) {
  const failed = Object.values(answers).filter((answer) => answer instanceof Error);
  complain(failed.map((error) => error.message));
  const k = Number(now.get("k"));
  const lists = Object.values(answers).map((answer) => (answer.items ?? []).slice(0, k));
  const scale = Math.max(1e-9, ...lists.flat().flatMap((item) => [item.score, split(item).own]));
  byId("scale").textContent = failed.length ? "" : `full width: ${percent(scale)}`;
  for (const side of Object.keys(SIDES)) {
    const other = side === "a" ? "b" : "a";
    showSide(side, answers[side], answers[other], k, scale);
  }
  const headline = failed.length ? "There is no ranking to compare" : compared(now, answers, k);
  byId("headline").textContent = headline;
  document.title = `${now.get("user")} · EXIT ranking`;
}

function showSide(side, answer, against, k, scale) {
  const part = section(side);
  const list = part.querySelector("ol");
  const before = placesOf(list);
  const open = new Set([...list.querySelectorAll("li:has(details[open])")].map((li) => li.dataset.item));
  part.querySelector(".made").textContent = answer.items ? madeFrom(answer) : "";
  part.querySelector(".flags").replaceChildren(...(answer.flags ?? []).map((text) => make("li", { class: "notice", text })));
  const there = new Map((against.items ?? []).map((item) => [item.item_id, item.rank]));
  list.replaceChildren(...(answer.items ?? []).slice(0, k).map((item) =>
    itemOf(item, scale, there.get(item.item_id), side, there.size)));
  for (const li of list.children) li.querySelector("details").open = open.has(li.dataset.item);
  glide(list, before);
}

function madeFrom(answer) {
  const minute = (moment) => `${moment.slice(0, 16).replace("T", " ")} UTC`;
  const hours = answer.features_age_seconds / 3600;
  const age = hours < 1 ? `${Math.round(hours * 60)} minutes` : hours < 48 ? `${hours.toFixed(1)} hours` : `${Math.round(hours / 24)} days`;
  const interest = answer.features_as_of ? `interest as of ${minute(answer.features_as_of)}, ${age} old` : "no interest known";
  const clock = answer.clock === "newest" ? ", the moment of the newest features" : "";
  return `${answer.served_by}, version ${answer.model_version} · ${interest} · asked for ${minute(answer.at)}${clock}`;
}

/** Says in one sentence what the turn does. */
function compared(now, { a, b }, k) {
  const told = (answer, column) => answer.scene[column] ?? "unknown";
  const turned = Object.keys(model.scene).filter((column) => told(a, column) !== told(b, column))
    .map((column) => `${told(a, column)} to ${told(b, column)}`);
  if (a.model_version !== b.model_version) turned.push(`version ${a.model_version} to ${b.model_version}`);
  if (!turned.length) return "A and B ask the same";
  const there = new Map(b.items.map((item) => [item.item_id, item.rank]));
  const first = a.items.slice(0, k);
  const moved = first.filter((item) => there.get(item.item_id) !== item.rank).length;
  const gone = first.filter((item) => !(there.get(item.item_id) <= k)).length;
  const turn = `From ${turned.join(", ")}`;
  if (!moved) return `${turn}: every item stays in its place`;
  if (gone === first.length) return `${turn}: all ${gone} items leave the list`;
  return `${turn}: ${moved} of ${first.length} items move${gone ? `, ${gone} of them out of the list` : ""}`;
}

// --- how it moves ---

const placesOf = (list) => new Map([...list.children].map((li) => [li.dataset.item, li.offsetTop]));

/** Lets items glide from where they were, for those who want motion. */
function glide(list, before) {
  if (still.matches) return;
  for (const li of list.children) {
    const was = before.get(li.dataset.item);
    const from = was === undefined ? { opacity: 0 } : { transform: `translateY(${was - li.offsetTop}px)` };
    if (before.size) li.animate([from, {}], { duration: 300, easing: "ease-out" });
  }
}

addEventListener("hashchange", refresh);
document.addEventListener("change", ({ target }) => {
  if (target.name) choose({ [target.name]: target.value.trim() });
});
byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  refresh();
});
refresh();
