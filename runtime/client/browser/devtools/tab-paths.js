/** The tab of paths: everything that is registered, with a form to call it as this browser's user. @module */

import { button, chip, clock, duration, element, empty, facts, fill, json, number } from "./view.js";
import { loadClient } from "./client.js";
import { Field, readAll } from "./form.js";

const MAX_RESULTS = 20;
const MAX_EVENTS = 20;
const NARROW = 760;

export class PathsTab {
  id = "paths";
  title = "Paths";

  /** @param {import("./feed.js").Feed} feed */
  constructor(feed) {
    this.feed = feed;
    /** @type {any} */
    this.known = null;
    this.generation = -1;
    this.isLoading = false;
    this.selected = "";
    this.drawn = "";
    /** @type {(() => void) | null} ends the stream that is shown */
    this.stop = null;
    this.filter = element("input", "grow", null, { type: "search", placeholder: "Filter by path, topic or text", "aria-label": "Filter paths", input: () => this.#writeList() });
    this.list = element("div", "list");
    this.form = element("div");
    this.results = element("div", "", null, { "aria-live": "polite" });
    this.node = element("section", "", [
      element("div", "tools", this.filter),
      element("div", "split paths", [element("div", "", this.list), element("div", "", [this.form, this.results])]),
    ]);
    fill(this.form, empty("Choose a path to see what it takes, and to call it."));
  }

  count() {
    return this.known?.paths.length ?? null;
  }

  /** @param {URLSearchParams} query */
  show(query) {
    const path = query.get("path");
    if (path) this.selected = path;
    if (this.known) this.#choose(this.selected);
  }

  update() {
    const generation = this.feed.state?.worker.generation;
    if (generation === this.generation || this.isLoading) return;
    this.isLoading = true;
    this.feed.fetch("paths").then(
      (known) => {
        this.isLoading = false;
        this.known = known;
        this.generation = known.generation;
        this.#writeList();
        this.#choose(this.selected);
      },
      () => {
        this.isLoading = false; // the next answer of the server tries again
      }
    );
  }

  #writeList() {
    const wanted = this.filter.value.trim().toLowerCase();
    const shown = (this.known?.paths ?? []).filter((/** @type {any} */ one) => !wanted || `${one.path} ${one.topic ?? ""} ${one.doc} ${one.kind}`.toLowerCase().includes(wanted));
    const modules = grouped(shown);
    const parts = [...modules].flatMap(([module, ones]) => [
      element("h3", "mono", module),
      ...ones.map((/** @type {any} */ one) =>
        element("button", "mono", [one.path.slice(module.length + 1), element("span", "chips", [chip(one.kind, one.kind === "rpc" ? "" : "accent"), one.exposed ? chip("open", "warn", "no guard, and not marked as public") : ""])], {
          type: "button",
          "aria-current": one.path === this.selected ? "true" : null,
          "data-path": one.path,
          click: () => this.#choose(one.path),
        })
      ),
    ]);
    fill(this.list, parts.length > 0 ? parts : empty("Nothing is registered that fits."));
  }

  /** @param {string} path */
  #choose(path) {
    const found = this.known?.paths.find((/** @type {any} */ one) => one.path === path);
    if (!found) return;
    const text = JSON.stringify(found);
    if (text === this.drawn) return;
    this.drawn = text;
    this.stop?.();
    this.stop = null;
    this.selected = path;
    history.replaceState(null, "", `#paths?path=${encodeURIComponent(path)}`);
    for (const one of this.list.querySelectorAll("button")) one.toggleAttribute("aria-current", false);
    this.list.querySelector(`[data-path="${CSS.escape(path)}"]`)?.setAttribute("aria-current", "true");
    fill(this.results, null);
    fill(this.form, this.#formOf(found));
    if (innerWidth <= NARROW) this.form.scrollIntoView({ block: "start" }); // it is below the list there
  }

  /** @param {any} found */
  #formOf(found) {
    const takesFile = found.kind === "binary" || found.kind === "upload";
    const parameters = found.kind === "binary" ? found.parameters.slice(1) : found.parameters;
    const fields = parameters.map((/** @type {any} */ one) => new Field(one));
    const file = takesFile ? element("input", "", null, { type: "file", id: "field-file" }) : null;
    const isStream = found.kind === "stream" || found.kind === "channel";
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#run(found, fields, file);
    };
    return element("form", "panel", [
      element("div", "head", [element("h2", "mono", found.path), chip(found.kind, "accent"), element("span", "soft mono", found.place)]),
      found.doc && element("p", "", found.doc.split("\n\n")[0]),
      facts([
        ["Topic", found.topic && element("span", "mono", found.topic)],
        ["Merge", isStream ? found.merge : null],
        ["Returns", element("span", "mono", found.returns)],
        ["Guard", found.guarded ? "yes" : found.exposed ? element("span", "warn", "none, and not marked as public") : "none: public"],
        ["Has", [found.limited && "a rate limit", found.thread && "a worker thread", found.volatile && "no reply needed"].filter(Boolean).join(", ") || null],
      ]),
      file && element("div", "field", [element("label", "label", element("b", "", "File"), { for: "field-file" }), file]),
      ...fields.map((/** @type {Field} */ one) => one.node),
      fields.length === 0 && !takesFile && element("p", "soft", "It takes no arguments."),
      element("div", "tools", [
        button(isStream ? "Subscribe" : "Call", () => {}, "primary", { type: "submit" }),
        element("span", "soft", "as the user of this browser"),
      ]),
    ], { submit, novalidate: true });
  }

  /** @param {any} found @param {Field[]} fields @param {any} file */
  async #run(found, fields, file) {
    let args;
    try {
      args = readAll(fields);
    } catch {
      /** @type {HTMLElement | null} */ (this.form.querySelector("[aria-invalid]"))?.focus();
      return; // the field says what is wrong
    }
    const { __rpc, __stream, __binaryRpc, __upload } = await loadClient(this.known.socket);
    if (found.kind === "stream" || found.kind === "channel") {
      const store = __stream(found.path, found.options, found.dynamic);
      this.#follow(found, args, found.dynamic ? store(...args) : store);
      return;
    }
    const begun = performance.now();
    const result = this.#result(args);
    try {
      const source = file?.files[0];
      if (file && !source) throw new TypeError("choose a file first");
      const promise =
        found.kind === "binary" ? __binaryRpc(found.path)(await source.arrayBuffer(), ...args)
        : found.kind === "upload" ? __upload(found.path)(source, ...args)
        : __rpc(found.path).fresh(...args);
      const value = await promise;
      result.end(chip("ok", "good"), begun, value === undefined ? null : value);
    } catch (error) {
      const { code, message, issues } = /** @type {any} */ (error);
      result.end(chip(code ?? "failed", "bad"), begun, issues ? { message, issues } : undefined, message);
      for (const issue of issues ?? []) fields.find(({ parameter }) => parameter.name === issue.path[0] || fields.length === 1)?.say(issue.message);
    }
  }

  /** @param {any[]} args */
  #result(args) {
    const head = element("div", "head", [chip("running", "accent"), element("span", "soft", clock(Date.now()))]);
    const body = element("div");
    const panel = element("div", "panel result", [head, element("details", "", [element("summary", "soft", "Arguments"), json(args)]), body]);
    this.results.prepend(panel);
    while (this.results.childNodes.length > MAX_RESULTS) this.results.lastChild?.remove();
    const end = (/** @type {HTMLElement} */ sign, /** @type {number} */ begun, /** @type {any} */ value, text = "") => {
      fill(head, [sign, element("span", "soft", `${clock(Date.now())} · ${duration((performance.now() - begun) / 1000)}`)]);
      fill(body, value === undefined ? text : json(value));
    };
    return { end };
  }

  /**
   * Show a stream while this path is chosen.
   * @param {any} found
   * @param {any[]} args
   * @param {any} store
   */
  #follow(found, args, store) {
    this.stop?.();
    const status = element("span");
    const value = element("div");
    const log = element("div");
    const changes = element("span", "soft");
    let count = 0;
    const offs = [
      store.subscribe((/** @type {any} */ now) => {
        fill(value, now === undefined ? element("span", "soft", "nothing yet") : json(now));
        fill(changes, `${number(count)} changes`);
        if (count > 0) log.prepend(element("details", "", [element("summary", "soft mono", clock(Date.now())), json(now)]));
        while (log.childNodes.length > MAX_EVENTS) log.lastChild?.remove();
        count++;
      }),
      store.status.subscribe((/** @type {string} */ now) => fill(status, chip(now, { connected: "good", error: "bad" }[now] ?? "warn"))),
      store.error.subscribe((/** @type {any} */ error) => error && fill(status, chip(`${error.code}: ${error.message}`, "bad"))),
    ];
    const end = () => {
      for (const off of offs) off();
      this.stop = null;
      fill(status, chip("ended"));
      stop.disabled = true;
    };
    const stop = button("Stop", end);
    this.stop = end;
    this.results.prepend(
      element("div", "panel result", [
        element("div", "head", [element("span", "mono", `${found.path}${args.length > 0 ? `(${args.map((one) => JSON.stringify(one)).join(", ")})` : ""}`), status, changes, stop]),
        value,
        element("h3", "", "Values before"),
        log,
      ])
    );
  }
}

/** @param {any[]} paths @returns {Map<string, any[]>} */
function grouped(paths) {
  const found = new Map();
  for (const one of paths) found.set(one.module, [...(found.get(one.module) ?? []), one]);
  return found;
}
