// Block Kit to DOM nodes. `act` is what the elements call: press, choose, suggest; `place` says where they stand.

import { el, emoji, link, markdown, mention, textObject } from "/page/text.js";

export function renderBlocks(blocks, context) {
  return (blocks ?? []).map((block) => renderBlock(block, context));
}

function renderBlock(block, context) {
  const render = BLOCKS[block.type];
  if (!render) return el("p", { class: "quiet", text: `[${block.type} is not drawn here]` });
  const node = render(block, context);
  node.dataset.block = block.block_id ?? "";
  return node;
}

const BLOCKS = {
  section: (block, context) =>
    el("div", { class: "section" },
      el("div", { class: "section-text" },
        block.text ? el("div", {}, textObject(block.text, context.names)) : null,
        block.fields ? el("div", { class: "fields" }, block.fields.map((field) => el("div", {}, textObject(field, context.names)))) : null),
      block.accessory ? el("div", { class: "accessory" }, element(block.accessory, block, context)) : null),
  header: (block, context) => el("h3", { class: "header-block" }, textObject(block.text, context.names)),
  divider: () => el("hr"),
  context: (block, context) =>
    el("div", { class: "context-block" }, block.elements.map((part) => (part.type === "image" ? picture(part) : el("span", {}, textObject(part, context.names))))),
  actions: (block, context) => el("div", { class: "actions" }, block.elements.map((part) => element(part, block, context))),
  context_actions: (block, context) => el("div", { class: "actions" }, block.elements.map((part) => element(part, block, context))),
  image: (block, context) => el("figure", {}, picture(block), block.title ? el("figcaption", {}, textObject(block.title, context.names)) : null),
  markdown: (block) => el("div", { class: "markdown" }, markdown(block.text)),
  rich_text: (block, context) => el("div", { class: "rich" }, block.elements.map((part) => rich(part, context.names))),
  table: (block, context) =>
    el("div", { class: "scroll" }, el("table", {}, el("tbody", {}, block.rows.map((row, index) =>
      el("tr", {}, row.map((cell) => el(index ? "td" : "th", {}, cell.type === "rich_text" ? cell.elements.map((part) => rich(part, context.names)) : String(cell.text ?? cell.value ?? "")))))))),
  data_table: (block, context) => el("figure", {}, block.caption ? el("figcaption", { class: "quiet", text: block.caption }) : null, BLOCKS.table(block, context)),
  plan: (block, context) => el("div", { class: "container" }, el("strong", { text: block.title }), el("ul", {}, (block.tasks ?? []).map((task) => el("li", {}, renderBlock(task, context))))),
  task_card: (block, context) =>
    el("div", {}, `${TASKS[block.status] ?? ""} `, el("span", { text: block.title }), el("span", { class: "unseen", text: ` (${String(block.status).replace("_", " ")})` }),
      [block.details, block.output].map((part) => (part ? renderBlock(part, context) : null)), (block.sources ?? []).map((part) => el("div", {}, link(part.url, part.text)))),
  carousel: (block, context) => el("div", { class: "scroll carousel" }, renderBlocks(block.elements, context)),
  video: (block) => el("p", {}, "🎞 ", link(block.video_url, block.title.text)),
  input: (block, context) => inputBlock(block, context),
  alert: (block, context) => el("div", { class: `alert ${block.level ?? "default"}`, role: "note" }, textObject(block.text, context.names)),
  container: (block, context) => el("div", { class: "container" }, block.title ? el("strong", {}, textObject(block.title, context.names)) : null, renderBlocks(block.child_blocks, context)),
  card: (block, context) =>
    el("div", { class: "container" }, ["title", "subtitle", "body"].map((name) => (block[name] ? el("div", {}, textObject(block[name], context.names)) : null)),
      (block.actions ?? []).map((part) => element(part, block, context))),
};

const TASKS = { pending: "○", in_progress: "◐", complete: "✔", error: "✘" };

// Pictures from elsewhere are not loaded: the page works offline and tells nobody that it is open.
const picture = (part) => el("span", { class: "picture" }, "🖼 ", part.image_url ? link(part.image_url, part.alt_text) : part.alt_text);

function rich(part, names) {
  const children = () => (part.elements ?? []).map((item) => rich(item, names));
  switch (part.type) {
    case "rich_text_section": return el("div", {}, children());
    case "rich_text_quote": return el("blockquote", {}, children());
    case "rich_text_preformatted": return el("pre", {}, el("code", {}, children()));
    case "rich_text_list": return el(part.style === "ordered" ? "ol" : "ul", {}, part.elements.map((item) => el("li", {}, rich(item, names))));
    case "text": return styled(part.text, part.style);
    case "link": return link(part.url, part.text);
    case "emoji": return document.createTextNode(emoji(part.name));
    case "user": return mention("@" + (names.person(part.user_id) || part.user_id), part.user_id === names.me);
    case "usergroup": return mention("@" + (names.group(part.usergroup_id) || part.usergroup_id));
    case "channel": return mention("#" + (names.channel(part.channel_id) || part.channel_id));
    case "broadcast": return mention("@" + part.range);
    case "date": return el("time", { text: part.fallback ?? new Date(part.timestamp * 1000).toLocaleString() });
    default: return el("span", { text: part.text ?? part.value ?? "" });
  }
}

function styled(text, style = {}) {
  let node = style.code ? el("code", { text }) : document.createTextNode(text);
  if (style.bold) node = el("strong", {}, node);
  if (style.italic) node = el("em", {}, node);
  if (style.strike) node = el("s", {}, node);
  return node;
}

// Elements. `read` gives what a person put there, for inputs that are sent with their view.

function element(part, block, context) {
  const make = ELEMENTS[part.type];
  if (!make) return part.type === "image" ? picture(part) : el("span", { class: "quiet", text: `[${part.type} is not drawn here]` });
  const node = make(part, block, context);
  if (node.dataset && part.action_id) node.dataset.action = part.action_id;
  return node;
}

const held = (part, block, context) => context.values?.[block.block_id]?.[part.action_id];
const silent = (block) => block.type === "input" && !block.dispatch_action;
const name = (part, block) => block.label?.text ?? part.placeholder?.text ?? part.action_id;

async function choose(part, block, context, choice) {
  if (silent(block)) return context.act.typed();
  if (part.confirm && !(await context.act.confirm(part.confirm))) return undefined;
  return context.act.choose(block.block_id, part.action_id, choice);
}

function button(part, block, context) {
  const press = async () => {
    if (part.confirm && !(await context.act.confirm(part.confirm))) return;
    node.disabled = true;
    await context.act.click(block.block_id, part.action_id);
    node.disabled = false;
  };
  const node = el("button", { type: "button", class: part.style ?? "", "aria-label": part.accessibility_label, onclick: press }, textObject(part.text, context.names));
  if (!part.url) return node;
  return el("span", { class: "pair" }, node, link(part.url, "open"));
}

function overflow(part, block, context) {
  const pick = async (option) => {
    if (part.confirm && !(await context.act.confirm(part.confirm))) return;
    context.act.choose(block.block_id, part.action_id, option.value);
  };
  const open = () => context.act.menu(node, part.options.map((option) => ({ label: option.text.text, run: () => pick(option) })));
  const node = el("button", { type: "button", "aria-haspopup": "menu", "aria-label": "More actions", onclick: open, text: "⋯" });
  return node;
}

function select(options, groups, part, block, context, { many = false, chosen = [] } = {}) {
  const option = (item) => el("option", { value: item.value, text: item.text, selected: chosen.includes(item.value) });
  const node = el("select", { multiple: many, size: many ? Math.min(5, Math.max(2, options.length)) : null, "aria-label": name(part, block) },
    many ? null : el("option", { value: "", text: part.placeholder?.text ?? "Choose…", disabled: !block.optional, selected: chosen.length === 0 }),
    options.map(option), groups.map((group) => el("optgroup", { label: group.label }, group.options.map(option))));
  const value = () => (many ? [...node.selectedOptions].map((item) => item.value) : node.value || null);
  node.readValue = value;
  node.addEventListener("change", () => choose(part, block, context, value()));
  return node;
}

const simple = (option) => ({ value: option.value, text: option.text.text });

function staticSelect(part, block, context) {
  const groups = (part.option_groups ?? []).map((group) => ({ label: group.label.text, options: group.options.map(simple) }));
  const now = held(part, block, context);
  const chosen = now?.selected_options ?? (now?.selected_option ? [now.selected_option] : []);
  return select((part.options ?? []).map(simple), groups, part, block, context, { many: part.type.startsWith("multi_"), chosen: chosen.map((item) => item.value) });
}

const picker = (kind, field) => (part, block, context) => {
  const now = held(part, block, context);
  const chosen = now?.[field + "s"] ?? (now?.[field] ? [now[field]] : []);
  return select(context.lists[kind](), [], part, block, context, { many: part.type.startsWith("multi_"), chosen });
};

function externalSelect(part, block, context) {
  const many = part.type.startsWith("multi_");
  const now = held(part, block, context);
  let chosen = now?.selected_options ?? (now?.selected_option ? [now.selected_option] : []);
  const list = el("ul", { class: "suggestions", role: "listbox", id: `s${Math.random().toString(36).slice(2)}`, "aria-label": `${name(part, block)}, offered`, hidden: true });
  const field = el("input", { type: "text", role: "combobox", "aria-expanded": "false", "aria-controls": list.id, "aria-autocomplete": "list", autocomplete: "off", "aria-label": name(part, block), placeholder: part.placeholder?.text ?? "Type to search…", value: many ? "" : chosen[0]?.text.text ?? "" });
  const chips = el("span", { class: "chips" });
  const node = el("span", { class: "external" }, chips, field, list);
  const close = () => { list.hidden = true; field.setAttribute("aria-expanded", "false"); };
  const tell = () => choose(part, block, context, many ? chosen : chosen[0] ?? null);
  const drawChips = () => {
    if (many) chips.replaceChildren(...chosen.map((item) => el("button", { type: "button", class: "chip", "aria-label": `Remove ${item.text.text}`, text: `${item.text.text} ✕`, onclick: () => drop(item) })));
  };
  const drop = (item) => { chosen = chosen.filter((other) => other.value !== item.value); drawChips(); field.focus(); tell(); };
  const take = (option) => {
    chosen = many ? [...chosen.filter((item) => item.value !== option.value), option] : [option];
    field.value = many ? "" : option.text.text;
    drawChips();
    close();
    node.dispatchEvent(new Event("change"));
    tell();
  };
  drawChips();
  const entry = (option) => el("li", { role: "option", tabindex: "-1", onclick: () => take(option), onkeydown: keys }, el("span", { text: option.text.text }), option.description ? el("span", { class: "quiet", text: ` ${option.description.text}` }) : null);
  let asked = 0;
  const ask = async () => {
    const mine = ++asked;
    const typed = !many && chosen[0]?.text.text === field.value ? "" : field.value;
    if (typed.length < (part.min_query_length ?? 3)) return close();
    const found = await context.act.suggest(block.block_id, part.action_id, typed);
    if (mine !== asked) return undefined;
    list.replaceChildren(...found.flatMap((item) => (item.options ? [el("li", { class: "group", role: "presentation", text: item.label.text }), ...item.options.map(entry)] : [entry(item)])));
    if (!found.length) list.replaceChildren(el("li", { class: "group", role: "presentation", text: "No results" }));
    list.hidden = false;
    field.setAttribute("aria-expanded", "true");
    return undefined;
  };
  let timer;
  field.addEventListener("input", () => {
    if (!many && chosen.length) { chosen = []; if (silent(block)) tell(); }
    clearTimeout(timer);
    timer = setTimeout(ask, 200);
  });
  field.addEventListener("click", () => { if (part.min_query_length === 0 && list.hidden) ask(); });
  node.addEventListener("focusout", (event) => { if (!node.contains(event.relatedTarget)) close(); });
  const keys = (event) => {
    const items = [...list.querySelectorAll("[role=option]")];
    const at = items.indexOf(document.activeElement);
    if (event.key === "ArrowDown" && list.hidden && part.min_query_length === 0) ask();
    else if (event.key === "ArrowDown") items[Math.min(items.length - 1, at + 1)]?.focus();
    else if (event.key === "ArrowUp") (at > 0 ? items[at - 1] : field).focus();
    else if (event.key === "Enter" && at >= 0) { items[at].click(); field.focus(); }
    else if (event.key === "Escape" && !list.hidden) { close(); field.focus(); event.stopPropagation(); }
    else return;
    event.preventDefault();
  };
  field.addEventListener("keydown", keys);
  node.readValue = () => (many ? chosen : chosen[0] ?? null);
  return node;
}

const field = (type, key) => (part, block, context) => {
  const now = held(part, block, context)?.[key];
  const shown = type === "datetime-local" && now ? new Date(now * 1000 - new Date().getTimezoneOffset() * 60000).toISOString().slice(0, 16) : now ?? "";
  const long = part.type === "plain_text_input" && part.multiline;
  const node = el(long ? "textarea" : "input", { type: long ? null : type, rows: long ? 4 : null, maxlength: part.max_length, minlength: part.min_length,
    min: part.min_value, max: part.max_value, step: part.is_decimal_allowed ? "any" : null, placeholder: part.placeholder?.text, "aria-label": name(part, block) });
  node.value = shown;
  const value = () => (type === "datetime-local" ? (node.value ? Math.floor(new Date(node.value).getTime() / 1000) : null) : node.value || null);
  node.readValue = value;
  node.addEventListener("change", () => choose(part, block, context, value()));
  return node;
};

const ticks = (type) => (part, block, context) => {
  const now = held(part, block, context);
  const chosen = (now?.selected_options ?? (now?.selected_option ? [now.selected_option] : [])).map((item) => item.value);
  const group = `g${Math.random().toString(36).slice(2)}`;
  const node = el("fieldset", { class: "ticks" }, el("legend", { class: "unseen", text: name(part, block) }),
    part.options.map((option) => el("label", {}, el("input", { type, name: group, value: option.value, checked: chosen.includes(option.value) }), " ",
      el("span", {}, textObject(option.text, context.names)), option.description ? el("span", { class: "quiet" }, " ", textObject(option.description, context.names)) : null)));
  const picked = () => [...node.querySelectorAll("input:checked")].map((item) => item.value);
  node.readValue = () => (type === "radio" ? picked()[0] ?? null : picked());
  node.addEventListener("change", () => choose(part, block, context, node.readValue()));
  return node;
};

const ELEMENTS = {
  button, overflow,
  workflow_button: button, icon_button: button,
  static_select: staticSelect, multi_static_select: staticSelect,
  external_select: externalSelect, multi_external_select: externalSelect,
  users_select: picker("people", "selected_user"), multi_users_select: picker("people", "selected_user"),
  channels_select: picker("channels", "selected_channel"), multi_channels_select: picker("channels", "selected_channel"),
  conversations_select: picker("channels", "selected_conversation"), multi_conversations_select: picker("channels", "selected_conversation"),
  plain_text_input: field("text", "value"), number_input: field("number", "value"), email_text_input: field("email", "value"), url_text_input: field("url", "value"),
  datepicker: field("date", "selected_date"), timepicker: field("time", "selected_time"), datetimepicker: field("datetime-local", "selected_date_time"),
  checkboxes: ticks("checkbox"), radio_buttons: ticks("radio"),
};

function inputBlock(block, context) {
  const control = element(block.element, block, context);
  const error = context.errors?.[block.block_id];
  const target = control.matches?.("input,select,textarea") ? control : control.querySelector?.("input");
  const id = `e-${block.block_id}`;
  const wrong = error ? el("div", { class: "error", id, role: "alert", text: error }) : null;
  if (error && target) { target.setAttribute("aria-invalid", "true"); target.setAttribute("aria-describedby", id); }
  const whole = el("div", { class: error ? "input-block wrong" : "input-block" },
    el("span", { class: "label" }, textObject(block.label, context.names), block.optional ? el("span", { class: "quiet", text: " (optional)" }) : null),
    control, block.hint ? el("div", { class: "quiet" }, textObject(block.hint, context.names)) : null,
    wrong);
  // What is being mended is no longer complained about; whether it is right is said when it is sent.
  const mended = () => { whole.classList.remove("wrong"); wrong.remove(); target?.removeAttribute("aria-invalid"); target?.removeAttribute("aria-describedby"); };
  if (error) for (const kind of ["input", "change"]) control.addEventListener(kind, mended, { once: true });
  return whole;
}

// What a person put into the inputs below `root`, by block id.
export function readInputs(root) {
  const values = {};
  for (const block of root.querySelectorAll(".input-block")) {
    const control = [...block.querySelectorAll("*")].find((node) => node.readValue);
    if (control) values[block.dataset.block] = control.readValue();
  }
  return values;
}
