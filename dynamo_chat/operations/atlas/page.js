"use strict";
// Draws the atlas from the JSON on the page. Texts of data become text nodes only, never markup.

const atlas = JSON.parse(document.getElementById("atlas").textContent);
const main = document.getElementById("main");
const index = document.getElementById("index");
const list = document.getElementById("list");
const query = document.getElementById("query");
const count = document.getElementById("count");
const browse = document.getElementById("browse");
const theme = document.getElementById("theme");

const kinds = new Map(atlas.kinds.map((kind) => [kind.kind, kind]));
const patterns = new Map(atlas.patterns.map((pattern) => [pattern.method, pattern]));
const domains = [...new Set([...atlas.kinds, ...atlas.patterns].map((each) => each.domain))];

const HOW = {
  read: "read", missing: "not there", created: "created", changed: "changed",
  deleted: "deleted", unchanged: "unchanged", checked: "checked",
};

// -- small parts --------------------------------------------------------------------------------

/** An element with attributes and children; a text among the children becomes a text node. */
function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "click") made.addEventListener("click", value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...parts(children));
  return made;
}

/** What is there of children that may be nested, or missing. */
function parts(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== "");
}

function show(...children) {
  main.replaceChildren(...parts(children));
}

/** A sentence of the documentation: what is between backticks is code. */
function prose(text) {
  return text.split("`").map((part, place) => (place % 2 ? make("code", {}, part) : part));
}

/** A text with an escape for each character that would not be seen, or would reorder others. */
function visible(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (found) =>
    found === "\u200d" ? found : `\\u{${found.codePointAt(0).toString(16)}}`);
}

function said(text) {
  return make("span", { class: "said" }, visible(text));
}

function amount(number) {
  return number.toLocaleString("en", { maximumFractionDigits: 2 });
}

function many(number, one, more = `${one}s`) {
  return `${amount(number)} ${number === 1 ? one : more}`;
}

/** A key: its tag, then its components, with places to break the line after each. */
function keyText(text) {
  const pieces = visible(text).split("#");
  const made = make("span", { class: "key" });
  pieces.forEach((part, place) => {
    if (place) made.append("#", make("wbr"));
    if (part) made.append(make("span", { class: place ? "part" : "tag" }, part));
  });
  return made;
}

function keyPair(pair) {
  return pair ? [keyText(pair[0]), make("br"), keyText(pair[1])] : [];
}

function link(to, text, attributes = {}) {
  return make("a", { href: `#${to.split("/").map(encodeURIComponent).join("/")}`, ...attributes }, text);
}

/** A name with places to break the line after each of its words. */
function breakable(name) {
  return name.split(/(?<=[._])/).flatMap((word) => [make("wbr"), word]);
}

function kindLink(kind) {
  return kinds.has(kind) ? link(`kind/${kind}`, kind) : make("span", {}, kind || "unknown kind");
}

function facts(pairs) {
  const made = make("dl", { class: "facts" });
  for (const [name, value] of pairs) {
    if (value && parts([value]).length) made.append(make("dt", {}, name), make("dd", {}, value));
  }
  return made;
}

/** A bar as long as its share; the number is beside it as text, so the bar itself is silent. */
function bar(share, isSecond = false) {
  const fill = make("span", { class: isSecond ? "fill second" : "fill" });
  fill.style.width = `${Math.max(0, Math.min(100, share * 100))}%`;
  return make("span", { class: "track", "aria-hidden": "true" }, fill);
}

function region(label, content) {
  return make("div", { class: "scroll", role: "region", "aria-label": label, tabindex: "0" }, content);
}

// -- pages --------------------------------------------------------------------------------------

function overview() {
  const played = atlas.patterns.filter((pattern) => pattern.cases.length).length;
  const calls = atlas.patterns.reduce((total, pattern) => total + pattern.cases.length, 0);
  show(
    make("h1", {}, "Every kind of item in the table"),
    make("p", { class: "lead" },
      `One DynamoDB table with two indexes holds ${many(atlas.kinds.length, "kind")} of items for `,
      make("code", {}, atlas.store),
      `. ${many(atlas.patterns.length, "method")} read and write them; ${amount(played)} of them were `,
      `called in ${many(calls, "way")} to measure what this page shows. `,
      "Choose a kind to see its keys, or a method to see which items it touches, in which order, and what that costs."),
    make("p", { class: "quiet" },
      "A key is a tag and components, each closed by #. ‘Helper’ items make an entity findable or unique."),
    domains.filter((domain) => atlas.kinds.some((kind) => kind.domain === domain)).map((domain) => [
      make("h2", {}, domain),
      keyChart(domain, atlas.kinds.filter((kind) => kind.domain === domain)),
    ]),
  );
}

function keyChart(domain, shown) {
  const head = make("tr", {}, ["kind", ...atlas.places].map((name) => make("th", { scope: "col" }, name)));
  const rows = shown.map((kind) => make("tr", {},
    make("th", { scope: "row" }, kindLink(kind.kind), " ",
      kind.helper ? make("span", { class: "badge" }, "helper") : null),
    kind.keys.map((pair, place) => make("td", { "data-label": atlas.places[place] }, keyPair(pair)))));
  return region(`Keys of ${domain}`,
    make("table", { class: "chart stack" }, make("thead", {}, head), make("tbody", {}, rows)));
}

function kindPage(kind) {
  const samples = atlas.items.filter((item) => item.kind === kind.kind && item.bytes);
  const first = [...new Map(samples.map((item) => [item.keys[0].join(" "), item])).values()].slice(0, 5);
  show(
    make("h1", {}, kind.kind, " ", make("span", { class: "badge" }, kind.helper ? "helper" : kind.domain)),
    kind.about ? make("p", { class: "lead" }, prose(kind.about)) : "",
    facts([
      ["class", kind.entity && make("code", {}, kind.entity)],
      ["belongs to", kind.of && kindLink(kind.of)],
      ["status", kind.status],
      ["note", prose(kind.note)],
      ...kind.keys.map((pair, place) => [atlas.places[place], keyPair(pair)]),
    ]),
    make("h2", {}, "Methods that read or write it"),
    kind.patterns.length ? patternTable(kind.patterns.map((method) => patterns.get(method)))
      : make("p", {}, "None of the calls on this page met such an item."),
    first.length ? make("h2", {}, "As it is stored") : "",
    first.length ? make("ol", { class: "items" }, first.map((item, place) => make("li", {},
      make("span", { class: "turn" }, `${place + 1}`), make("span", {}, `${amount(item.bytes)} bytes`),
      make("div", {}, itemKeys(item), said(item.what))))) : "",
    kind.fields.length ? make("h2", {}, "Fields of the class") : "",
    kind.fields.length ? facts(kind.fields.map(([name, type]) => [name, make("code", {}, type)])) : "",
  );
}

function itemKeys(item) {
  return item.keys.map((pair, place) => pair &&
    make("div", {}, make("span", { class: "quiet" }, `${atlas.places[place]} `), keyText(pair[0]), " / ", keyText(pair[1])));
}

function patternTable(shown) {
  return region("Methods", make("table", { class: "stack" },
    make("thead", {}, make("tr", {}, ["id", "method", "what it does"].map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, shown.map((pattern) => make("tr", {},
      make("td", {}, pattern.id), make("td", {}, link(`pattern/${pattern.method}`, pattern.method, { class: "key" })),
      make("td", {}, prose(pattern.description)))))));
}

function patternPage(pattern, number) {
  const shown = pattern.cases[number] ? number : 0;
  const played = pattern.cases[shown];
  show(
    make("h1", {}, make("code", {}, pattern.method), " ", make("span", { class: "badge" }, pattern.id)),
    make("p", { class: "lead" }, prose(`${pattern.description}.`)),
    facts([
      ["reads or writes", pattern.index],
      ["operations", pattern.operation],
      ["requests", prose(pattern.requests)],
      ["owner", prose(pattern.owner)],
    ]),
    pattern.unplayed ? make("p", {}, pattern.unplayed) : "",
  );
  if (!played) return;
  const choice = make("div", { class: "cases", role: "group", "aria-label": "Ways of calling it" },
    pattern.cases.map((each, place) => make("button", {
      type: "button", "aria-pressed": String(place === shown),
      click: () => { location.hash = `#pattern/${encodeURIComponent(pattern.method)}/${place}`; },
    }, each.label || "plain call")));
  main.append(make("h2", {}, "What a call does"), choice, ...parts(caseParts(played)));
}

function caseParts(played) {
  let turn = 0;
  const steps = played.steps.map((step) => ({
    ...step,
    touched: step.touched.map(([how, number]) => ({ how, item: atlas.items[number], turn: ++turn })),
  }));
  const touched = steps.flatMap((step) => step.touched);
  return [
    make("p", {}, "Result: ", said(played.result)),
    make("ul", { class: "numbers" }, [
      [played.requests, played.requests === 1 ? "request" : "requests"],
      [played.wcu, "write units"],
      [played.rcu, "read units"],
    ].map(([number, what]) => make("li", {}, make("b", {}, amount(number)), what))),
    touched.length ? map(touched) : "",
    make("h2", {}, "Request by request"),
    make("ol", { class: "steps" }, steps.map((step, place) => stepPart(step, place))),
  ];
}

/** The picture: a row for each partition of the table, a numbered square for each item. */
function map(touched) {
  const rows = new Map();
  for (const each of touched) {
    const partition = each.item.keys[0][0];
    rows.set(partition, [...(rows.get(partition) || []), each]);
  }
  const distinct = new Set(touched.map((each) => JSON.stringify(each.item.keys[0])));
  const what = `${many(distinct.size, "item")} in ${many(rows.size, "partition")}`;
  return make("figure", { class: "map" },
    make("figcaption", {}, `Where: ${what} of the table, numbered in the order of the call`),
    [...rows].map(([partition, members]) => make("div", { class: "row" },
      keyText(partition),
      make("div", { class: "squares" }, members.map((each) =>
        make("span", { class: `square ${each.how}`, title: `${HOW[each.how]}: ${each.item.kind}` }, `${each.turn}`))))));
}

function stepPart(step, place) {
  const where = step.place ? ` on ${step.place === "table" ? "the table" : step.place}` : "";
  const units = ["wcu", "rcu"].flatMap((name) => Object.entries(step[name])
    .filter(([, number]) => number)
    .map(([at, number]) => `${many(number, name === "wcu" ? "write unit" : "read unit")} of ${at === "table" ? "the table" : at}`));
  const nothing = step.place && !step.touched.length && !step.error;
  return make("li", {},
    make("h3", {}, `${place + 1}. ${step.operation}${where}`),
    step.asked ? make("p", {}, make("code", {}, visible(step.asked))) : "",
    step.error ? make("p", { class: "error" }, `Refused: ${step.error}`) : "",
    make("p", { class: "quiet" }, units.join(", ") || "no units"),
    nothing ? make("p", {}, "No items.") : "",
    step.touched.length ? make("ol", { class: "items" }, step.touched.map((each) => touchedPart(each, step))) : "",
    step.more ? make("p", {}, `and ${many(step.more, "more item")}`) : "");
}

function touchedPart({ how, item, turn }, step) {
  const place = Math.max(0, atlas.places.indexOf(step.place));
  const pair = item.keys[place] || item.keys[0];
  return make("li", {},
    make("span", { class: "turn" }, `${turn}`),
    make("span", { class: `how ${how}` }, HOW[how]),
    make("div", {},
      kindLink(item.kind), item.bytes ? ` · ${amount(item.bytes)} bytes` : "",
      make("div", {}, keyText(pair[0]), " / ", keyText(pair[1])),
      item.what ? said(item.what) : ""));
}

// -- costs --------------------------------------------------------------------------------------

const sorting = { column: "wcu", down: true };

function typical(pattern) {
  return pattern.cases.find((each) => !each.label) || pattern.cases[0];
}

function costs() {
  show(
    make("h1", {}, "What it costs"),
    ...(atlas.bills.length ? billParts() : []),
    make("h2", {}, "What a call costs"),
    make("p", { class: "lead" },
      "The plain call of each method, or its first. A write unit is 1 KB written, a read unit is 4 KB read with strong consistency; eventual consistency costs half, a transaction twice."),
    costTable(),
  );
}

function billParts() {
  const most = Math.max(...atlas.bills.map((each) => Number(each.total))) || 1;
  return [
    make("h2", {}, "A month's bill"),
    make("p", { class: "lead" }, atlas.workload),
    ...atlas.bills.map((each) => make("div", { class: "bill" },
      make("span", {}, each.design),
      bar(Number(each.total) / most, each.of === "other"),
      make("span", { class: "number" }, dollars(each.total)))),
    ...atlas.bills.filter((each) => each.of === "own").map((each) => make("details", { class: "partition" },
      make("summary", {}, `${each.design}, line by line`),
      make("ul", {}, each.lines.map(([what, price]) => make("li", {}, `${what}: ${dollars(price)}`))))),
  ];
}

function dollars(text) {
  const number = Number(text);
  return `$${number.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: number < 1 ? 6 : 2 })}`;
}

function costTable() {
  const rows = atlas.patterns.filter((pattern) => pattern.cases.length).map((pattern) => {
    const { label, requests, wcu, rcu } = typical(pattern);
    return { method: pattern.method, label, requests, wcu, rcu };
  });
  const most = Math.max(1, ...rows.map((row) => Math.max(row.wcu, row.rcu)));
  const way = sorting.down ? -1 : 1;
  rows.sort((a, b) => way * (sorting.column === "method"
    ? a.method.localeCompare(b.method) : a[sorting.column] - b[sorting.column]) || a.method.localeCompare(b.method));
  const columns = { method: "method", requests: "requests", wcu: "write units", rcu: "read units" };
  const head = Object.entries(columns).map(([column, name]) => make("th", {
    scope: "col", class: column === "method" ? undefined : "number",
    "aria-sort": sorting.column === column ? (sorting.down ? "descending" : "ascending") : undefined,
  }, make("button", { type: "button", id: `sort-${column}`, click: () => sortBy(column) },
    name + (sorting.column === column ? (sorting.down ? " ↓" : " ↑") : ""))));
  return region("Costs of all methods", make("table", { class: "costs" },
    make("thead", {}, make("tr", {}, head, make("th", { scope: "col" }, "beside each other"))),
    make("tbody", {}, rows.map((row) => make("tr", {},
      make("th", { scope: "row" }, link(`pattern/${row.method}`, row.method, { class: "key" }),
        row.label ? make("div", { class: "label" }, row.label) : ""),
      make("td", { class: "number" }, amount(row.requests)),
      make("td", { class: "number" }, amount(row.wcu)),
      make("td", { class: "number" }, amount(row.rcu)),
      make("td", { class: "bars" }, row.wcu ? bar(row.wcu / most) : "", row.rcu ? bar(row.rcu / most, true) : ""))))));
}

function sortBy(column) {
  sorting.down = sorting.column === column ? !sorting.down : column !== "method";
  sorting.column = column;
  costs();
  document.getElementById(`sort-${column}`).focus();
}

// -- the loaded items ---------------------------------------------------------------------------

let place = 0;

function itemsPage() {
  const items = atlas.loaded.map((number) => atlas.items[number]).filter((item) => item.keys[place]);
  const partitions = new Map();
  for (const item of items) {
    const [partition] = item.keys[place];
    partitions.set(partition, [...(partitions.get(partition) || []), item]);
  }
  const ordered = [...partitions].sort(([a], [b]) => (a < b ? -1 : 1));
  show(
    make("h1", {}, "The items in the table"),
    make("p", { class: "lead" }, `${many(items.length, "item")} in ${many(partitions.size, "partition")}, as this index has them.`),
    make("div", { class: "cases", role: "group", "aria-label": "Table or index" }, atlas.places.map((name, number) =>
      make("button", {
        type: "button", id: `place-${number}`, "aria-pressed": String(number === place),
        click: () => { place = number; itemsPage(); document.getElementById(`place-${number}`).focus(); },
      }, name))),
    ...ordered.map(([partition, members]) => make("details", { class: "partition", open: ordered.length < 12 },
      make("summary", {}, keyText(partition), ` · ${many(members.length, "item")}`),
      make("ol", { class: "items" }, members
        .sort((a, b) => (a.keys[place][1] < b.keys[place][1] ? -1 : 1))
        .map((item, number) => make("li", {},
          make("span", { class: "turn" }, `${number + 1}`),
          make("span", {}, `${amount(item.bytes)} bytes`),
          make("div", {}, kindLink(item.kind), make("div", {}, keyText(item.keys[place][1])), said(item.what))))))),
  );
}

// -- the index and its search -------------------------------------------------------------------

const words = new Map();
for (const kind of atlas.kinds) {
  words.set(kind, [kind.kind, kind.entity, kind.domain, kind.note, ...kind.keys.flat()].join(" ").toLowerCase());
}
for (const pattern of atlas.patterns) {
  words.set(pattern, [pattern.id, pattern.method, pattern.domain, pattern.description, pattern.index,
    pattern.operation].join(" ").toLowerCase());
}

function found(each, wanted) {
  return wanted.every((word) => words.get(each).includes(word));
}

/** An id that is asked for exactly finds its methods alone: C1 finds no C10. */
function drawIndex(current) {
  const wanted = query.value.toLowerCase().split(/\s+/).filter(Boolean);
  const exactly = wanted.length === 1 && atlas.patterns.some((each) => each.id.toLowerCase() === wanted[0]);
  const isFound = (each) => (exactly ? (each.id || "").toLowerCase() === wanted[0] : found(each, wanted));
  const shownKinds = atlas.kinds.filter(isFound);
  const shownPatterns = atlas.patterns.filter(isFound);
  count.textContent = `${many(shownPatterns.length, "method")}, ${many(shownKinds.length, "kind")}`;
  list.replaceChildren(...domains.map((domain) => {
    const ofKinds = shownKinds.filter((kind) => kind.domain === domain);
    const ofPatterns = shownPatterns.filter((pattern) => pattern.domain === domain);
    if (!ofKinds.length && !ofPatterns.length) return "";
    const isCurrent = [...ofKinds.map((each) => `kind/${each.kind}`), ...ofPatterns.map((each) => `pattern/${each.method}`)].includes(current);
    return make("details", { open: wanted.length > 0 || isCurrent },
      make("summary", {}, domain),
      ofKinds.length ? [make("h3", {}, "Kinds"), make("ul", {}, ofKinds.map((kind) =>
        indexEntry(`kind/${kind.kind}`, current, make("span", {}, breakable(kind.kind)))))] : "",
      ofPatterns.length ? [make("h3", {}, "Methods"), make("ul", {}, ofPatterns.map((pattern) =>
        indexEntry(`pattern/${pattern.method}`, current, make("span", { class: "id" }, pattern.id), make("span", {}, breakable(pattern.method)))))] : "");
  }));
}

function indexEntry(to, current, ...children) {
  const made = link(to, "", { "aria-current": to === current ? "page" : undefined });
  made.append(...children);
  return make("li", {}, made);
}

// -- moving about -------------------------------------------------------------------------------

function route() {
  const [page, name, number] = location.hash.slice(1).split("/").map((part) => {
    try { return decodeURIComponent(part); } catch { return ""; }
  });
  let current = page;
  if (page === "kind" && kinds.has(name)) {
    current = `kind/${name}`;
    kindPage(kinds.get(name));
  } else if (page === "pattern" && patterns.has(name)) {
    current = `pattern/${name}`;
    patternPage(patterns.get(name), Number(number) || 0);
  } else if (page === "costs") costs();
  else if (page === "items" && atlas.loaded.length) itemsPage();
  else {
    current = "";
    overview();
  }
  for (const each of document.querySelectorAll("header nav a")) {
    if (each.dataset.page === current) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
  const title = main.querySelector("h1").textContent;
  document.title = current ? `${title} · Atlas of the table` : "Atlas of the table";
  drawIndex(current);
  return current;
}

let before = null;

function moved() {
  const pressed = document.activeElement?.matches(".cases button");
  const current = route();
  open(false);
  if (before === current && pressed) main.querySelector('.cases [aria-pressed="true"]').focus();
  else if (before !== null && before !== current) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
  before = current;
}

function open(isOpen) {
  index.classList.toggle("open", isOpen);
  browse.setAttribute("aria-expanded", String(isOpen));
}

browse.addEventListener("click", () => {
  const isOpen = browse.getAttribute("aria-expanded") !== "true";
  open(isOpen);
  if (isOpen) query.focus();
});

const THEMES = [["automatic", "light dark"], ["light", "light"], ["dark", "dark"]];
let themed = 0;
theme.addEventListener("click", () => {
  themed = (themed + 1) % THEMES.length;
  const [name, scheme] = THEMES[themed];
  document.documentElement.style.colorScheme = scheme;
  theme.textContent = `Theme: ${name}`;
});

query.addEventListener("input", () => drawIndex(before));
query.addEventListener("keydown", (event) => {
  if (event.key === "Enter") list.querySelector("details[open] a")?.click();
  if (event.key === "Escape") {
    query.value = "";
    drawIndex(before);
  }
});
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input, textarea, select");
  if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  open(true);
  query.focus();
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
document.getElementById("to-items").hidden = !atlas.loaded.length;
addEventListener("hashchange", moved);
moved();
