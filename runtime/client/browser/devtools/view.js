/**
 * What the views of the devtools are made of: elements, tables that keep their rows, values, and how things are written.
 *
 * All text goes through `textContent`: what an app sends is data here, never markup.
 *
 * @module
 */

/** @typedef {Node | string | number | null | undefined | false} Child */

const MODE_KEY = "realtime.devtools.mode";
const MAX_OPEN_ITEMS = 6;

/**
 * @param {string} name
 * @param {string} [className]
 * @param {Child | Child[]} [content]
 * @param {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} [attributes] a function is a listener
 * @returns {any} an HTML element
 */
export function element(name, className = "", content = null, attributes = {}) {
  const made = document.createElement(name);
  if (className) made.className = className;
  fill(made, content);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : String(value));
  }
  return made;
}

/**
 * Replace what is in a node.
 * @param {Element} node
 * @param {Child | Child[]} content
 */
export function fill(node, content) {
  const children = (Array.isArray(content) ? content : [content]).filter((one) => one !== null && one !== undefined && one !== false);
  node.replaceChildren(...children.map((one) => (one instanceof Node ? one : String(one))));
}

/** @param {string} text @param {(event: any) => void} onClick @param {string} [className] @param {Record<string, any>} [attributes] @returns {HTMLButtonElement} */
export function button(text, onClick, className = "", attributes = {}) {
  return element("button", className, text, { type: "button", click: onClick, ...attributes });
}

/** @param {string} text @param {string} [tone] @param {string} [title] @returns {HTMLElement} */
export function chip(text, tone = "", title = "") {
  return element("span", `chip ${tone}`, text, { title: title || null });
}

/** @param {Array<[string, Child | Child[]]>} pairs @returns {HTMLElement} what is known of one thing; what is empty is left out */
export function facts(pairs) {
  const list = element("dl", "facts");
  for (const [name, value] of pairs) {
    if (value === null || value === undefined || value === "" || value === false) continue;
    list.append(element("dt", "", name), element("dd", "", value));
  }
  return list;
}

/** @param {string} text @returns {HTMLElement} */
export function empty(text) {
  return element("p", "empty", text);
}

// ---------------------------------------------------------------- how things are written

/** @param {number | null | undefined} bytes @returns {string} */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  if (bytes < 1000) return `${Math.round(bytes)} B`;
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(bytes < 10_000 ? 1 : 0)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** @param {number | null | undefined} seconds @returns {string} */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const value = Math.abs(seconds);
  if (value === 0) return "0 s";
  if (value < 1) return `${(value * 1000).toFixed(value < 0.01 ? 1 : 0)} ms`;
  if (value < 60) return `${Number.isInteger(value) ? value : value.toFixed(value < 10 ? 1 : 0)} s`;
  if (value < 3600) return `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s`;
  if (value < 86_400) return `${Math.floor(value / 3600)} h ${Math.floor((value % 3600) / 60)} min`;
  return `${Math.floor(value / 86_400)} d ${Math.floor((value % 86_400) / 3600)} h`;
}

/** @param {number} ms since the epoch @returns {string} the time of day */
export function clock(ms) {
  const date = new Date(ms);
  const part = (/** @type {number} */ value, length = 2) => String(value).padStart(length, "0");
  return `${part(date.getHours())}:${part(date.getMinutes())}:${part(date.getSeconds())}.${part(date.getMilliseconds(), 3)}`;
}

/** @param {number} seconds since the epoch @returns {string} with the day, unless it is today */
export function moment(seconds) {
  const date = new Date(seconds * 1000);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? date.toLocaleTimeString([], { timeStyle: "medium" }) : date.toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });
}

/** @param {number | null | undefined} value @returns {string} */
export function number(value) {
  if (value === null || value === undefined) return "";
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 2 : 1 });
}

/** @param {string} id @returns {string} enough of a connection's id to tell it apart */
export function shortId(id) {
  return id.slice(0, 8);
}

/** @param {any} user @returns {string} a name for what the upgrade hook gave */
export function userName(user) {
  if (user === null || user === undefined) return "";
  if (typeof user !== "object") return String(user);
  for (const key of ["name", "username", "email", "id", "user_id"]) {
    if (typeof user[key] === "string" || typeof user[key] === "number") return String(user[key]);
  }
  return Object.keys(user).length > 0 ? "(unnamed)" : "";
}

// ---------------------------------------------------------------- values

/** How values are shown, in all views. @returns {"pretty" | "raw"} */
export function valueMode() {
  try {
    return localStorage.getItem(MODE_KEY) === "raw" ? "raw" : "pretty";
  } catch {
    return "pretty";
  }
}

/** @param {"pretty" | "raw"} mode */
export function setValueMode(mode) {
  try {
    localStorage.setItem(MODE_KEY, mode);
  } catch {
    // no storage here: the choice holds nowhere
  }
}

/** @param {any} value @returns {HTMLElement} a value to look into */
export function json(value) {
  if (valueMode() === "raw") return element("pre", "json", JSON.stringify(value, null, 2) ?? "undefined");
  return element("div", "json", tree(value, 0));
}

/** @param {any} value @param {number} depth @returns {Node} */
function tree(value, depth) {
  if (value === null || typeof value !== "object") return primitive(value);
  const isList = Array.isArray(value);
  const entries = isList ? value.map((item, index) => [String(index), item]) : Object.entries(value);
  if (entries.length === 0) return new Text(isList ? "[]" : "{}");
  const head = isList ? `[ ${entries.length} ${entries.length === 1 ? "item" : "items"} ]` : summary(value);
  const inside = element("div", "inside");
  const details = element("details", "", [element("summary", "", head), inside]);
  const show = () => {
    if (inside.childNodes.length > 0) return;
    for (const [name, item] of entries) inside.append(element("div", "", [element("span", "name", name), ": ", tree(item, depth + 1)]));
  };
  details.addEventListener("toggle", show);
  if (depth === 0 || (depth === 1 && entries.length <= MAX_OPEN_ITEMS)) {
    show();
    details.open = true;
  }
  return details;
}

/** @param {object} value @returns {string} */
function summary(value) {
  const keys = Object.keys(value);
  const shown = keys.slice(0, 4).join(", ");
  return `{ ${shown}${keys.length > 4 ? ", …" : ""} }`;
}

/** @param {any} value @returns {Node} */
function primitive(value) {
  if (typeof value === "string") return element("span", "string", JSON.stringify(value));
  if (typeof value === "number") return element("span", "number", String(value));
  return element("span", "word", String(value));
}

/** @param {any} value @param {number} [length] @returns {string} a value in one line */
export function inline(value, length = 120) {
  if (value === undefined) return "";
  const text = JSON.stringify(value) ?? "";
  return text.length > length ? `${text.slice(0, length)}…` : text;
}

// ---------------------------------------------------------------- tables

/**
 * @template Row
 * @typedef {{title: string, of: (row: Row) => Child | Child[], className?: string, label?: string}} Column
 */

/**
 * A table whose rows stay the same elements while they stand for the same thing, so that focus and selection stay.
 * @template Row
 */
export class Table {
  /** @type {HTMLElement} */
  node;
  #body;
  /** @type {Map<string, {row: any, cells: HTMLElement[], texts: string[]}>} */
  #shown = new Map();

  /**
   * @param {{columns: Array<Column<Row>>, key: (row: Row) => string, label: string, none: string,
   *   onOpen?: (row: Row) => void, rowClass?: (row: Row) => string}} options
   */
  constructor(options) {
    this.options = options;
    this.selected = "";
    const heads = options.columns.map((column) => element("th", column.className ?? "", column.title, { scope: "col" }));
    this.#body = element("tbody");
    const table = element("table", "cards", [element("thead", "", element("tr", "", heads)), this.#body], { "aria-label": options.label });
    this.none = empty(options.none);
    this.scroll = element("div", "scroll", table);
    this.node = element("div", "", [this.scroll, this.none]);
  }

  /** @param {Row[]} rows */
  update(rows) {
    const { key } = this.options;
    this.none.hidden = rows.length > 0;
    this.scroll.hidden = rows.length === 0;
    const wanted = new Set(rows.map(key));
    for (const [name, shown] of this.#shown) {
      if (wanted.has(name)) continue;
      shown.row.remove();
      this.#shown.delete(name);
    }
    /** @type {Element | null} */
    let at = this.#body.firstElementChild;
    for (const row of rows) {
      const name = key(row);
      const shown = this.#shown.get(name) ?? this.#add(name);
      if (at === shown.row) at = shown.row.nextElementSibling;
      else this.#body.insertBefore(shown.row, at);
      this.#write(shown, row, name);
    }
  }

  /** @param {string} name */
  select(name) {
    this.selected = name;
    for (const [one, { row }] of this.#shown) row.setAttribute("aria-selected", String(one === name));
  }

  /** @param {string} name */
  #add(name) {
    const cells = this.options.columns.map((column) => {
      const label = column.label ?? column.title;
      return element("td", column.className ?? "", null, { "data-label": label || null });
    });
    const { onOpen } = this.options;
    const row = element("tr", "", cells);
    const shown = { row, cells, texts: cells.map(() => "\0"), data: /** @type {any} */ (null) };
    if (onOpen) {
      row.tabIndex = 0;
      row.addEventListener("click", (/** @type {any} */ event) => {
        if (event.target.closest("button, a, input")) return;
        this.select(name);
        onOpen(shown.data);
      });
      row.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#onKey(event, row, name, () => onOpen(shown.data)));
    }
    this.#shown.set(name, shown);
    return shown;
  }

  /** @param {KeyboardEvent} event @param {any} row @param {string} name @param {() => void} open */
  #onKey(event, row, name, open) {
    if (event.target !== row) return;
    const next = event.key === "ArrowDown" ? row.nextElementSibling : event.key === "ArrowUp" ? row.previousElementSibling : null;
    if (next) next.focus();
    else if (event.key === "Enter" || event.key === " ") {
      this.select(name);
      open();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {any} shown @param {Row} row @param {string} name */
  #write(shown, row, name) {
    shown.data = row;
    shown.row.className = this.options.rowClass?.(row) ?? "";
    if (this.options.onOpen) shown.row.setAttribute("aria-selected", String(name === this.selected));
    this.options.columns.forEach((column, index) => {
      const content = column.of(row);
      const text = signature(content);
      if (text === shown.texts[index]) return;
      shown.texts[index] = text;
      fill(shown.cells[index], content);
    });
  }
}

/** @param {Child | Child[]} content @returns {string} equal for what looks equal */
function signature(content) {
  if (Array.isArray(content)) return content.map(signature).join("\x01");
  if (content instanceof Element) return content.outerHTML;
  return content instanceof Node ? content.textContent ?? "" : String(content ?? "");
}
