/**
 * Fields made from the JSON Schema of a parameter, and what people wrote into them.
 *
 * @module
 */

import { element } from "./view.js";

/** @typedef {{name: string, type: string, required: boolean, variadic: boolean, default: any, schema: any}} Parameter */

/** Levels of a schema that an example is made of. */
const MAX_DEPTH = 4;

/** One parameter's field; `read()` gives `undefined` for what is left out, and throws what is wrong with the rest. */
export class Field {
  /** @param {Parameter} parameter */
  constructor(parameter) {
    this.parameter = parameter;
    this.schema = resolved(parameter.schema ?? {}, parameter.schema ?? {});
    this.problem = element("div", "problem", null, { role: "alert" });
    this.input = this.#control();
    const { name, type, required, variadic } = parameter;
    const note = variadic ? "any number of them, as a JSON list" : required ? "" : `may be left out: ${JSON.stringify(parameter.default)}`;
    this.node = element("div", "field", [
      element("label", "label", [element("b", "mono", `${variadic ? "*" : ""}${name}`), " ", element("span", "soft mono", type), " ", element("span", "soft", note)], { for: `field-${name}` }),
      this.input,
      this.problem,
    ]);
  }

  #control() {
    const { name } = this.parameter;
    const attributes = { id: `field-${name}`, "data-parameter": name };
    const options = this.#choices();
    if (options) return element("select", "", options.map(({ value, text }) => element("option", "", text, { value })), attributes);
    const type = this.#type();
    if (type === "integer" || type === "number") {
      const { minimum, maximum } = this.schema;
      return element("input", "", null, { ...attributes, type: "number", step: type === "integer" ? "1" : "any", min: minimum, max: maximum, placeholder: this.#placeholder() });
    }
    if (type === "string" && !this.parameter.variadic) {
      const isSecret = /password|secret|token/i.test(name);
      return element("input", "", null, { ...attributes, type: isSecret ? "password" : "text", maxlength: this.schema.maxLength, placeholder: this.#placeholder(), autocomplete: "off", spellcheck: "false" });
    }
    const made = element("textarea", "", null, { ...attributes, spellcheck: "false", placeholder: "JSON" });
    if (this.parameter.variadic) made.value = "[]";
    else if (this.parameter.required) made.value = JSON.stringify(example(this.schema, this.parameter.schema ?? {}, 0), null, 2);
    return made;
  }

  #placeholder() {
    return this.parameter.required ? "" : `left out: ${JSON.stringify(this.parameter.default)}`;
  }

  /** @returns {string} the one plain type that it takes, or "" */
  #type() {
    if (typeof this.schema.type === "string" && !this.parameter.variadic) return this.schema.type;
    return "";
  }

  /** @returns {Array<{value: string, text: string}> | null} what can be chosen from */
  #choices() {
    if (this.parameter.variadic) return null;
    const values = Array.isArray(this.schema.enum) ? this.schema.enum : this.schema.type === "boolean" ? [true, false] : "const" in this.schema ? [this.schema.const] : null;
    if (!values) return null;
    const given = values.map((/** @type {any} */ value) => ({ value: JSON.stringify(value), text: String(value) }));
    return this.parameter.required ? given : [{ value: "", text: `left out: ${JSON.stringify(this.parameter.default)}` }, ...given];
  }

  /** @returns {any} the value; `undefined` where it is left out */
  read() {
    this.problem.textContent = "";
    this.input.removeAttribute("aria-invalid");
    const text = this.input.value;
    if (this.input.tagName === "SELECT") return text === "" ? undefined : JSON.parse(text);
    if (this.input.type === "number") {
      if (text === "") return this.#leftOut("a number is needed");
      return Number(text);
    }
    if (this.input.tagName === "INPUT") return text === "" && !this.parameter.required ? undefined : text;
    if (text.trim() === "") return this.#leftOut("JSON is needed; a text stands in quotes");
    try {
      return JSON.parse(text);
    } catch (error) {
      return this.#fail(`no JSON: ${/** @type {Error} */ (error).message}`);
    }
  }

  /** @param {string} why */
  #leftOut(why) {
    if (this.parameter.required) return this.#fail(why);
    return undefined;
  }

  /** @param {string} why @returns {never} */
  #fail(why) {
    this.say(why);
    throw new Error(`${this.parameter.name}: ${why}`);
  }

  /**
   * Show what is wrong with it.
   * @param {string} why
   */
  say(why) {
    this.problem.textContent = why;
    this.input.setAttribute("aria-invalid", "true");
  }
}

/**
 * @param {Field[]} fields
 * @returns {any[]} the arguments: what is left out at the end is not sent, what is left out before it is its default
 */
export function readAll(fields) {
  /** @type {any[]} */
  const values = [];
  /** @type {any[]} */
  let rest = [];
  for (const field of fields) {
    const value = field.read();
    if (field.parameter.variadic) {
      if (value !== undefined && !Array.isArray(value)) field.say("a list is needed");
      rest = Array.isArray(value) ? value : [];
    } else values.push({ value, field });
  }
  while (rest.length === 0 && values.length > 0 && values[values.length - 1].value === undefined) values.pop();
  return [...values.map(({ value, field }) => (value === undefined ? field.parameter.default : value)), ...rest];
}

/** @param {any} schema @param {any} root @returns {any} the schema that a reference names; of a choice with null the other */
function resolved(schema, root) {
  const reference = typeof schema.$ref === "string" ? schema.$ref.replace("#/$defs/", "") : null;
  if (reference !== null) return root.$defs?.[reference] ?? {};
  if (Array.isArray(schema.allOf) && schema.allOf.length === 1) return resolved(schema.allOf[0], root);
  return schema;
}

/** @param {any} schema @param {any} root @param {number} depth @returns {any} a value of the right shape to begin with */
function example(schema, root, depth) {
  const found = resolved(schema, root);
  if ("default" in found) return found.default;
  if (Array.isArray(found.enum)) return found.enum[0];
  if ("const" in found) return found.const;
  const choice = (found.anyOf ?? found.oneOf)?.[0];
  if (choice) return example(choice, root, depth);
  const type = Array.isArray(found.type) ? found.type[0] : found.type;
  if (type === "object" || found.properties) {
    if (depth >= MAX_DEPTH) return {};
    const required = new Set(found.required ?? []);
    const wanted = Object.entries(found.properties ?? {}).filter(([name]) => required.has(name));
    return Object.fromEntries(wanted.map(([name, one]) => [name, example(one, root, depth + 1)]));
  }
  if (type === "array") {
    const items = found.prefixItems;
    return Array.isArray(items) ? items.map((one) => example(one, root, depth + 1)) : [];
  }
  return { string: "", integer: 0, number: 0, boolean: false }[/** @type {string} */ (type)] ?? null;
}
