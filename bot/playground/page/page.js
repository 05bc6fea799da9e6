// The page: asks the workspace what one person sees, draws it, and sends what that person does.
// Messages are redrawn only when they changed, so that focus, typing and scrolling survive other people's doings.

import { renderBlocks, readInputs } from "/page/blocks.js";
import { el, emoji, mrkdwn, textObject } from "/page/text.js";

const $ = (id) => document.getElementById(id);
const APP_HOME = "app-home";
const MOST_LINES = 200; // of the wire
const query = new URLSearchParams(location.search);

let seen = null; // what the workspace last said
let me = query.get("person") ?? "";
let channel = query.get("channel") ?? "";
let thread = null;
let hoodOpen = false;
let modalShown = "";
const read = new Map(); // person/channel -> newest time stamp looked at
const drafts = new Map(); // person/channel -> what stands in the composer

// Talking to the workspace

async function ask(path) {
  const response = await fetch(path, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

async function act(gesture, given = {}) {
  try {
    const response = await fetch(`/ui/do/${gesture}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ person: me, ...given }),
    });
    const answer = await response.json();
    if (!answer.ok) toast(answer.error);
    return answer;
  } catch {
    toast("The workspace did not answer.");
    return { ok: false };
  }
}

let fetching = false;
let again = false;
async function refresh() {
  if (fetching) { again = true; return; }
  fetching = true;
  try {
    do {
      again = false;
      const asked = [me, channel].join();
      const answer = await ask(`/ui/state?${new URLSearchParams({ person: me, channel })}`);
      if (asked !== [me, channel].join()) { again = true; continue; }
      if (seen && seen.began !== answer.began) toast("The workspace was started anew: nothing of before is left.");
      seen = answer;
      me = seen.me;
      draw();
      if (hoodOpen) await drawWire();
    } while (again);
    $("lost").hidden = true;
  } catch {
    $("lost").hidden = false;
  } finally {
    fetching = false;
  }
}

function listen() {
  const source = new EventSource("/ui/changes");
  source.addEventListener("message", refresh);
  source.addEventListener("error", () => { $("lost").hidden = false; });
}

// Names

const person = (id) => seen.people.find((one) => one.id === id);
const here = () => seen.channels.find((one) => one.id === channel);
const names = () => ({
  me,
  person: (id) => person(id)?.name,
  channel: (id) => seen.channels.find((one) => one.id === id)?.name,
  group: (id) => seen.groups.find((one) => one.id === id)?.handle,
});
const lists = {
  people: () => seen.people.filter((one) => !one.bot).map((one) => ({ value: one.id, text: one.shown })),
  channels: () => seen.channels.filter((one) => one.kind !== "im").map((one) => ({ value: one.id, text: "#" + one.name })),
};
const author = (message) => message.user === "USLACKBOT" ? { shown: "Slackbot", bot: true, name: "slackbot" } : person(message.user) ?? { shown: message.user, name: message.user };
const seconds = (ts) => Number(ts.split(".")[0]) * 1000;
const later = (a, b) => (a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)) > 0;

// Drawing

function draw() {
  if (!seen.channels.some((one) => one.id === channel) && channel !== APP_HOME) channel = seen.channels[0]?.id ?? "";
  drawPeople();
  drawNav();
  drawPlace();
  drawThread();
  drawModal();
  drawHood();
}

function drawPeople() {
  const select = $("person");
  const wanted = seen.people.filter((one) => !one.bot).map((one) => `${one.id}:${one.shown}`).join();
  if (select.dataset.drawn !== wanted) {
    select.replaceChildren(...seen.people.filter((one) => !one.bot).map((one) => el("option", { value: one.id, text: one.shown })));
    select.dataset.drawn = wanted;
  }
  select.value = me;
  $("role").textContent = person(me)?.title ? `You are ${person(me).shown} (${person(me).title}).` : "";
  $("reached").textContent = `${seen.app.name} is ${seen.app.reached}`;
  document.title = `${here()?.name ?? seen.app.name} · Local workspace (simulated)`;
}

function unread(one) {
  const since = read.get(`${me}/${one.id}`);
  if (one.id === channel || since === undefined) return 0;
  return one.recent.filter(([ts, user]) => later(ts, since) && user !== me).length;
}

function drawNav() {
  for (const one of seen.channels) {
    const key = `${me}/${one.id}`;
    const newest = one.recent.at(-1)?.[0] ?? "0";
    if (!read.has(key) || one.id === channel) read.set(key, newest);
  }
  const entry = (one, label, count) =>
    el("li", {}, el("button", { class: count ? "place unread" : "place", "aria-current": one === channel ? "page" : null, "data-place": one, onclick: () => go(one) },
      el("span", { text: label }), count ? el("span", { class: "count", "aria-label": `${count} new`, text: String(count) }) : null));
  const rows = seen.channels.filter((one) => one.kind !== "im")
    .map((one) => entry(one.id, (one.kind === "groups" ? "🔒 " : "# ") + one.name + (one.archived ? " (archived)" : ""), unread(one)));
  const direct = seen.channels.find((one) => one.kind === "im");
  keepFocus($("nav"), "place", () => {
    $("channels").replaceChildren(...rows);
    $("apps").replaceChildren(...(direct ? [entry(direct.id, "@ " + seen.app.name, unread(direct))] : []), entry(APP_HOME, "⌂ App Home", 0));
  });
}

function keepFocus(root, attribute, change) {
  const focused = root.contains(document.activeElement) ? document.activeElement.dataset[attribute] : null;
  change();
  if (focused) root.querySelector(`[data-${attribute}="${CSS.escape(focused)}"]`)?.focus();
}

function drawPlace() {
  const home = channel === APP_HOME;
  const one = here();
  $("place-name").textContent = home ? `${seen.app.name} · App Home` : one ? (one.kind === "im" ? one.name : "#" + one.name) : "";
  $("place-topic").textContent = home ? "What the app published for you" : one?.topic ?? "";
  $("messages").hidden = home;
  $("home").hidden = !home;
  const mute = one?.kind === "im" && !seen.app.takes_messages;
  $("composer").hidden = home || mute || Boolean(one?.archived);
  $("no-composer").hidden = !mute;
  $("composer-text").placeholder = one ? `Message ${one.kind === "im" ? one.name : "#" + one.name}, or / for a command` : "";
  if (home) drawHome();
  else if (one && !one.messages) { $("messages").replaceChildren(); $("messages").dataset.place = ""; } // they are being asked for
  else if (one) drawMessages($("messages"), one.messages.filter((message) => !inThread(message)), { replies: one.messages });
}

const inThread = (message) => message.thread_ts && message.thread_ts !== message.ts && message.subtype !== "thread_broadcast";

function drawHome() {
  const view = seen.home;
  const mark = view ? view.hash : "none";
  const root = $("home");
  if (root.dataset.mark === mark + me) return;
  root.dataset.mark = mark + me;
  root.replaceChildren(...(view ? renderBlocks(view.blocks, viewContext(view, root)) : [el("p", { class: "empty", text: "The app has published nothing for you yet." })]));
}

// Messages are matched by time stamp; those whose content is the same keep their nodes.
function drawMessages(list, messages, { replies = null } = {}) {
  const place = `${me}/${channel}/${replies ? "" : thread}`;
  const fresh = list.dataset.place !== place;
  const atEnd = fresh || list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  const old = new Map(fresh ? [] : [...list.children].map((node) => [node.dataset.ts, node]));
  const news = [];
  const focused = list.contains(document.activeElement) ? focusMark(document.activeElement) : null;
  const nodes = messages.map((message) => {
    const answers = replies?.filter((one) => one.thread_ts === message.ts && one.ts !== message.ts) ?? [];
    const mark = JSON.stringify([message, answers.length, answers.at(-1)?.ts]);
    const before = old.get(message.ts);
    if (before?.mark === mark) return before;
    if (!fresh && !before && message.user !== me) news.push(message);
    return drawMessage(message, answers, mark, Boolean(replies));
  });
  if (!nodes.length) nodes.push(old.get("")?.mark === place ? old.get("") : drawEmpty(Boolean(replies), place));
  reconcile(list, nodes);
  list.dataset.place = place;
  list.stays = atEnd && messages.length > 0;
  if (list.stays) list.scrollTop = list.scrollHeight;
  if (focused && !list.contains(document.activeElement)) restoreFocus(list, focused);
  const plain = news.map((message) => `${author(message).shown}: ${message.text}`).join(". ");
  if (plain) $("live").textContent = plain;
}

// What to begin with, where nothing was said yet: a line that is chosen stands in the message box, to be sent from there.
function drawEmpty(inChannel, mark) {
  const node = el("li", { class: "empty", "data-ts": "" });
  node.mark = mark;
  if (!inChannel) { node.append("No replies yet."); return node; }
  const lines = here()?.kind === "im" ? [] : seen.first_lines;
  const write = (text) => { const box = $("composer-text"); box.value = text; grow(box); box.focus(); complete(); };
  const others = seen.people.filter((one) => one.title && one.id !== me).map((one) => `${one.shown} (${one.title})`).join(", ");
  const parts = [
    el("p", { text: lines.length ? "Nothing here yet. To begin, take one of these, and send it:" : here()?.kind === "im" && !seen.app.takes_messages ? "Nothing here yet." : "Nothing here yet. Type / to see the commands." }),
    lines.length ? el("ul", { class: "first" }, lines.map((line) => el("li", {}, el("button", { type: "button", onclick: () => write(line.text) }, el("code", { text: line.text })), el("div", { class: "quiet", text: line.about })))) : null,
    lines.length && person(me)?.title ? el("p", { class: "quiet", text: `You are ${person(me).shown} (${person(me).title}). In the menu on top you become ${others}.` }) : null];
  node.append(...parts.filter(Boolean));
  return node;
}

function reconcile(list, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
  nodes.forEach((node, index) => { if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null); });
}

const focusMark = (node) => ({ ts: node.closest("[data-ts]")?.dataset.ts, block: node.closest("[data-block]")?.dataset.block, action: node.closest("[data-action]")?.dataset.action });
function restoreFocus(list, mark) {
  const item = mark.ts && list.querySelector(`[data-ts="${CSS.escape(mark.ts)}"]`);
  const again = item && mark.action && item.querySelector(`[data-block="${CSS.escape(mark.block ?? "")}"] [data-action="${CSS.escape(mark.action)}"]`);
  (again || item)?.focus({ preventScroll: true });
}

function drawMessage(message, answers, mark, inChannel) {
  const who = author(message);
  const when = new Date(seconds(message.ts));
  const context = messageContext(message);
  const body = message.blocks?.length ? renderBlocks(message.blocks, context) : [el("div", { class: "text" }, mrkdwn(message.text, names()))];
  const attached = (message.attachments ?? []).map((item) => el("div", { class: "attachment" }, item.title ? el("strong", { text: item.title }) : null,
    item.text ? el("div", {}, mrkdwn(item.text, names())) : null, renderBlocks(item.blocks, context)));
  const files = (message.files ?? []).map(drawFile);
  const reacted = (message.reactions ?? []).map((one) => el("button", { class: one.users.includes(me) ? "reaction mine" : "reaction", "data-block": "reaction", title: one.users.map((id) => person(id)?.shown ?? id).join(", "),
    "aria-label": `${one.name}, ${one.count}`, onclick: () => act("react", { channel: message.channel, ts: message.ts, emoji: one.name }) }, `${emoji(one.name)} ${one.count}`));
  const node = el("li", { class: ["message", message.only_you ? "only-you" : "", who.bot ? "app" : ""].join(" "), "data-ts": message.ts, tabindex: "-1" },
    el("div", { class: "face", "aria-hidden": "true", "data-hue": String([...who.name].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % 6), text: who.shown.slice(0, 1).toUpperCase() }),
    el("div", { class: "body" },
      message.only_you ? el("div", { class: "only", text: "Only visible to you" }) : null,
      el("div", { class: "by" }, el("strong", { text: who.shown }), who.bot ? el("span", { class: "tag", text: "APP" }) : null,
        el("time", { datetime: when.toISOString(), title: when.toLocaleString(), text: when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) }),
        message.edited ? el("span", { class: "quiet", text: "(edited)" }) : null, message.pinned ? el("span", { class: "quiet", text: "📌 pinned" }) : null),
      body, attached, files, reacted.length ? el("div", { class: "reactions" }, reacted) : null,
      inChannel && answers.length ? el("button", { class: "replies", onclick: () => openThread(message.ts) }, `${answers.length} ${answers.length === 1 ? "reply" : "replies"}`) : null),
    tools(message, inChannel));
  node.mark = mark;
  return node;
}

function drawFile(file) {
  const address = `/ui/file/${encodeURIComponent(file.id)}`;
  const picture = /^image\/(png|jpeg|gif|webp)$/.test(file.mimetype) ? el("img", { src: address, alt: file.alt_txt || file.title, onload: stay }) : null;
  return el("div", { class: "file" }, el("a", { href: address, target: "_blank", rel: "noopener", text: file.title }), el("span", { class: "quiet", text: ` ${size(file.size)}` }), picture);
}

// A picture takes its room when it has come; who was at the end stays there.
function stay(event) {
  const list = event.target.closest(".messages");
  if (list?.stays) list.scrollTop = list.scrollHeight;
}

const size = (bytes) => (bytes < 1000 ? `${bytes} bytes` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

function tools(message, inChannel) {
  const at = { channel: message.channel, ts: message.ts };
  const shortcuts = seen.shortcuts.filter((one) => one.on_message);
  const more = el("button", { class: "plain", "aria-haspopup": "menu", "aria-label": "More actions", text: "⋯" });
  more.addEventListener("click", () => openMenu(more, shortcuts.map((one) => ({ label: one.name, run: () => act("message_shortcut", { ...at, callback_id: one.id }) }))));
  return el("div", { class: "tools", role: "group", "aria-label": "Message actions" },
    message.only_you ? null : el("button", { class: "plain", "aria-label": "React with eyes", onclick: () => act("react", { ...at, emoji: "eyes" }), text: "React" }),
    inChannel && !message.only_you ? el("button", { class: "plain", "aria-label": "Reply in thread", onclick: () => openThread(message.ts, true), text: "Reply" }) : null,
    shortcuts.length ? more : null);
}

const pressing = (where) => ({
  click: (block_id, action_id) => act("click", { ...where, block_id, action_id }),
  choose: (block_id, action_id, choice) => act("choose", { ...where, block_id, action_id, choice }),
  suggest: async (block_id, action_id, typed) => (await act("suggest", { ...where, block_id, action_id, typed })).options ?? [],
  confirm: askConfirm,
  menu: openMenu,
  typed: () => {},
});

const messageContext = (message) => ({ names: names(), lists, values: {}, act: pressing({ channel: message.channel, ts: message.ts }) });

function viewContext(view, root) {
  const base = pressing({ view: view.id });
  const flush = async () => {
    const values = readInputs(root);
    if (view.type === "modal" && Object.keys(values).length) await act("type", { values });
  };
  const flushed = (call) => async (...given) => { await flush(); return call(...given); };
  return { names: names(), lists, values: view.state.values, errors: view.errors,
    act: { ...base, click: flushed(base.click), choose: flushed(base.choose), typed: flush } };
}

// The thread panel

function openThread(ts, write = false) {
  thread = ts;
  $("hood").hidden = true; hoodOpen = false;
  drawHood();
  drawThread();
  if (write) $("thread-text").focus();
}

function closeThread() {
  const ts = thread;
  thread = null;
  drawThread();
  document.querySelector(`#messages [data-ts="${CSS.escape(ts ?? "")}"] .replies`)?.focus();
}

function drawThread() {
  const one = here();
  const parent = one?.messages?.find((message) => message.ts === thread);
  $("thread").hidden = !parent;
  document.body.classList.toggle("with-thread", Boolean(parent));
  if (!parent) return;
  drawMessages($("thread-messages"), [parent, ...one.messages.filter((message) => message.thread_ts === thread && message.ts !== thread)]);
}

// Modals

function drawModal() {
  const view = seen.views.at(-1);
  const dialog = $("modal");
  const mark = view ? JSON.stringify([view.id, view.hash, view.errors, me]) : "";
  if (mark === modalShown) return;
  modalShown = mark;
  if (!view) { if (dialog.open) dialog.close(); return; }
  const body = el("div", { class: "modal-body" });
  const errors = view.errors ?? {};
  body.replaceChildren(...renderBlocks(view.blocks, viewContext(view, body)));
  const form = el("form", { method: "dialog", novalidate: true, onsubmit: (event) => { event.preventDefault(); submit(view, body, form); } },
    el("header", {}, el("h2", { id: "modal-title", text: view.title.text }), el("button", { type: "button", class: "plain", "aria-label": "Close all", onclick: () => act("close", { whole_stack: true }), text: "✕" })),
    errors[""] ? el("p", { class: "error", role: "alert", text: errors[""] }) : null,
    body,
    el("footer", {}, el("span", { class: "grow" }),
      el("button", { type: "button", onclick: () => act("close"), text: view.close?.text ?? "Cancel" }),
      view.submit ? el("button", { type: "submit", class: "primary", text: view.submit.text }) : null));
  dialog.replaceChildren(form);
  if (!dialog.open) dialog.showModal();
  (dialog.querySelector("[aria-invalid]") ?? body.querySelector("input,select,textarea,button") ?? form.querySelector("button"))?.focus();
}

async function submit(view, body, form) {
  const button = form.querySelector("button[type=submit]");
  if (!button || button.disabled) return;
  button.disabled = true;
  await act("submit", { values: readInputs(body) });
  button.disabled = false;
}

function askConfirm(confirm) {
  const dialog = $("confirm");
  return new Promise((resolve) => {
    let answer = false;
    const end = (value) => { answer = value; dialog.close(); };
    dialog.replaceChildren(el("form", { method: "dialog", onsubmit: (event) => { event.preventDefault(); end(true); } },
      el("header", {}, el("h2", { id: "confirm-title" }, textObject(confirm.title, names()))),
      el("div", { class: "modal-body" }, textObject(confirm.text, names())),
      el("footer", {}, el("span", { class: "grow" }), el("button", { type: "button", onclick: () => end(false) }, textObject(confirm.deny, names())),
        el("button", { type: "submit", class: confirm.style === "danger" ? "danger" : "primary" }, textObject(confirm.confirm, names())))));
    dialog.addEventListener("close", () => resolve(answer), { once: true });
    dialog.showModal();
    dialog.querySelector("button[type=button]").focus();
  });
}

// Menus: arrows move, Enter runs, Esc closes

let menuFrom = null;
function openMenu(from, items) {
  const menu = $("menu");
  if (!items.length) items = [{ label: "The app has none", run: () => {} }];
  menuFrom = from;
  menu.replaceChildren(...items.map((item) => el("button", { role: "menuitem", tabindex: "-1", onclick: () => { closeMenu(); item.run(); }, text: item.label })));
  // A modal is in the top layer, so its menus have to be inside it to be seen.
  (from.closest("dialog") ?? document.querySelector("main")).append(menu);
  menu.hidden = false;
  const box = from.getBoundingClientRect();
  menu.style.left = `${Math.max(8, Math.min(box.left, innerWidth - menu.offsetWidth - 8))}px`;
  menu.style.top = `${box.bottom + menu.offsetHeight > innerHeight ? box.top - menu.offsetHeight - 4 : box.bottom + 4}px`;
  menu.firstElementChild.focus();
}

function closeMenu() {
  if ($("menu").hidden) return;
  $("menu").hidden = true;
  menuFrom?.focus();
}

$("menu").addEventListener("keydown", (event) => {
  const items = [...$("menu").children];
  const at = items.indexOf(document.activeElement);
  if (event.key === "ArrowDown") items[(at + 1) % items.length].focus();
  else if (event.key === "ArrowUp") items[(at + items.length - 1) % items.length].focus();
  else if (event.key === "Escape" || event.key === "Tab") closeMenu();
  else return;
  event.preventDefault();
  event.stopPropagation();
});
document.addEventListener("pointerdown", (event) => { if (!$("menu").contains(event.target) && event.target !== menuFrom) $("menu").hidden = true; });

// The composer

function grow(area) { area.style.height = "auto"; area.style.height = `${Math.min(area.scrollHeight, 180)}px`; }

async function send(area, extra = {}) {
  const text = area.value.trim();
  if (!text || !here()) return;
  area.value = "";
  drafts.delete(`${me}/${channel}`);
  grow(area);
  complete();
  const list = area.closest("#thread") ? $("thread-messages") : $("messages");
  list.stays = true; // what comes of it is to be seen
  list.scrollTop = list.scrollHeight;
  const answer = await act("send", { channel, text, ...extra });
  if (!answer.ok && !area.value) { area.value = text; grow(area); }
}

for (const [form, area, extra] of [["composer", "composer-text", () => ({})], ["thread-composer", "thread-text", () => ({ thread_ts: thread })]]) {
  $(form).addEventListener("submit", (event) => { event.preventDefault(); send($(area), extra()); });
  $(area).addEventListener("input", () => grow($(area)));
  $(area).addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented) return;
    if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); send($(area), extra()); }
  });
}

// What could be meant by what stands before the cursor: a command, or somebody's or a channel's name.
function candidates() {
  const box = $("composer-text");
  if (!seen || document.activeElement !== box) return [];
  if (/^\/\S*$/.test(box.value)) {
    return seen.commands.filter((one) => one.command.startsWith(box.value) && one.command !== box.value)
      .map((one) => ({ name: one.command, hint: one.hint, about: one.description, from: 0 }));
  }
  const before = box.value.slice(0, box.selectionStart);
  const [, mark, typed] = /(?:^|\s)([@#])([\w.-]*)$/.exec(before) ?? [];
  if (!mark) return [];
  const known = mark === "#" ? seen.channels.filter((one) => one.kind !== "im").map((one) => ({ name: one.name, hint: "", about: one.topic }))
    : [...seen.people.map((one) => ({ name: one.name, hint: one.shown, about: "" })), ...seen.groups.map((one) => ({ name: one.handle, hint: "user group", about: "" }))];
  const wanted = typed.toLowerCase();
  return known.filter((one) => one.name.startsWith(wanted) && one.name !== wanted).slice(0, 8)
    .map((one) => ({ ...one, name: mark + one.name, from: before.length - typed.length - 1 }));
}

let marked = -1;
function complete() {
  const found = candidates();
  marked = found.length ? Math.min(Math.max(marked, 0), found.length - 1) : -1;
  $("completions").hidden = !found.length;
  $("completions").replaceChildren(...found.map((one, index) => el("li", { role: "option", id: `completion-${index}`, "aria-selected": String(index === marked), onpointerdown: (event) => { event.preventDefault(); take(one); } },
    el("strong", { text: one.name }), " ", el("span", { class: "quiet", text: one.hint }), one.about ? el("div", { class: "quiet", text: one.about }) : null)));
  if (marked >= 0) $("composer-text").setAttribute("aria-activedescendant", `completion-${marked}`);
  else $("composer-text").removeAttribute("aria-activedescendant");
  return found;
}

function take(one) {
  const box = $("composer-text");
  const after = box.value.slice(box.selectionStart);
  const written = `${box.value.slice(0, one.from)}${one.name} `;
  box.value = written + (one.from ? after.trimStart() : "");
  box.setSelectionRange(written.length, written.length);
  box.focus();
  complete();
}

$("composer-text").addEventListener("input", () => { drafts.set(`${me}/${channel}`, $("composer-text").value); complete(); });
$("composer-text").addEventListener("keydown", (event) => {
  const found = $("completions").hidden ? [] : complete();
  if (event.key === "ArrowUp" && !found.length && !$("composer-text").value) { lastMessage()?.focus(); event.preventDefault(); return; }
  if (!found.length) return;
  if (event.key === "ArrowDown") marked = (marked + 1) % found.length;
  else if (event.key === "ArrowUp") marked = (marked + found.length - 1) % found.length;
  else if (event.key === "Tab" || event.key === "Enter") { take(found[Math.max(marked, 0)]); event.preventDefault(); return; }
  else if (event.key === "Escape") { $("completions").hidden = true; event.stopPropagation(); return; }
  else return;
  event.preventDefault();
  complete();
}, { capture: true });

// Files: chosen, or pasted into a message box; what stands in the box goes with them

async function attach(file, area, extra) {
  if (!file || !here()) return;
  const address = await new Promise((done) => { const reader = new FileReader(); reader.onload = () => done(reader.result); reader.readAsDataURL(file); });
  const text = area.value.trim();
  const answer = await act("upload", { channel, name: file.name, content: address.slice(address.indexOf(",") + 1), text, ...extra });
  if (!answer.ok) return;
  area.value = "";
  grow(area);
  area.focus();
}

$("attach").addEventListener("click", () => $("attach-file").click());
$("attach-file").addEventListener("change", async () => { await attach($("attach-file").files[0], $("composer-text"), {}); $("attach-file").value = ""; });
for (const [id, extra] of [["composer-text", () => ({})], ["thread-text", () => ({ thread_ts: thread })]]) {
  $(id).addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (!file) return;
    event.preventDefault();
    attach(file, $(id), extra());
  });
}

$("bolt").addEventListener("click", () => openMenu($("bolt"), seen.shortcuts.filter((one) => !one.on_message).map((one) => ({ label: one.name, run: () => act("shortcut", { channel: channel === APP_HOME ? null : channel, callback_id: one.id }) }))));

// Moving about

const lastMessage = () => [...$("messages").querySelectorAll(".message")].at(-1);

function go(place) {
  drafts.set(`${me}/${channel}`, $("composer-text").value);
  channel = place;
  thread = null;
  document.body.classList.remove("nav-open");
  $("nav-toggle").setAttribute("aria-expanded", "false");
  remember();
  $("composer-text").value = drafts.get(`${me}/${channel}`) ?? "";
  complete();
  draw();
  if (place === APP_HOME) act("home");
  else { $("composer-text").focus(); refresh(); }
}

function remember() {
  history.replaceState(null, "", `?${new URLSearchParams({ person: me, channel })}`);
}

$("person").addEventListener("change", async () => {
  drafts.set(`${me}/${channel}`, $("composer-text").value);
  me = $("person").value;
  thread = null;
  remember();
  await refresh();
  $("composer-text").value = drafts.get(`${me}/${channel}`) ?? "";
  $("live").textContent = `You are now ${person(me)?.shown ?? me}.`;
  if (channel === APP_HOME) act("home");
});

// Who was at the end stays there when a keyboard or a panel takes room from the list.
const rooms = new ResizeObserver((entries) => { for (const { target } of entries) if (target.stays) target.scrollTop = target.scrollHeight; });

for (const list of [$("messages"), $("thread-messages")]) {
  rooms.observe(list);
  list.addEventListener("scroll", () => { list.stays = list.scrollHeight - list.scrollTop - list.clientHeight < 60; });
  list.addEventListener("keydown", (event) => {
    const item = event.target.closest(".message");
    if (event.target !== item) return;
    if (event.key === "ArrowUp") item.previousElementSibling?.focus();
    else if (event.key === "ArrowDown") (item.nextElementSibling ?? $("composer-text")).focus();
    else if (event.key === "Enter" && list === $("messages") && !item.classList.contains("only-you")) openThread(item.dataset.ts, true);
    else return;
    event.preventDefault();
  });
}

$("thread-close").addEventListener("click", closeThread);
function closeNav() {
  document.body.classList.remove("nav-open");
  $("nav-toggle").setAttribute("aria-expanded", "false");
  $("nav-toggle").focus();
}
$("nav-toggle").addEventListener("click", () => {
  const open = document.body.classList.toggle("nav-open");
  $("nav-toggle").setAttribute("aria-expanded", String(open));
});
$("modal").addEventListener("cancel", (event) => { event.preventDefault(); if ($("menu").hidden) act("close"); });
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  if (!$("thread").hidden) closeThread();
  else if (hoodOpen) toggleHood();
  else if (document.body.classList.contains("nav-open")) closeNav();
  else document.activeElement?.blur();
});

// Single keys, outside of text fields; they can be switched off, since speech input types them by accident

const keysOn = () => localStorage.getItem("single-keys") !== "off";
const KEYS = {
  "?": () => showKeys(),
  "/": () => { if (channel === APP_HOME) return; const box = $("composer-text"); box.focus(); if (!box.value) { box.value = "/"; complete(); } },
  "[": () => step(-1),
  "]": () => step(1),
  h: () => go(APP_HOME),
  w: () => toggleHood(),
};

function showKeys() {
  $("keys-on").checked = keysOn();
  $("keys").showModal();
}

function step(by) {
  const places = [...document.querySelectorAll("#nav .place")].map((node) => node.dataset.place);
  go(places[(places.indexOf(channel) + by + places.length) % places.length]);
  document.activeElement?.blur(); // so that the next key goes on from here
}

function become(number) {
  const option = $("person").options[number - 1];
  if (!option || option.value === me) return;
  $("person").value = option.value;
  $("person").dispatchEvent(new Event("change"));
}

document.addEventListener("keydown", (event) => {
  const writing = event.target.closest("input:not([type=checkbox]), textarea, select");
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || writing || !keysOn() || !seen) return;
  if (document.querySelector("dialog[open]") || !$("menu").hidden) return;
  const run = /^[1-9]$/.test(event.key) ? () => become(Number(event.key)) : Object.hasOwn(KEYS, event.key) ? KEYS[event.key] : null;
  if (!run) return;
  event.preventDefault();
  run();
});
$("keys-toggle").addEventListener("click", showKeys);
$("keys-on").addEventListener("change", () => localStorage.setItem("single-keys", $("keys-on").checked ? "on" : "off"));

// Wire and faults

function toggleHood() {
  hoodOpen = !hoodOpen;
  if (hoodOpen) thread = null;
  draw();
  if (hoodOpen) { drawWire(); $("hood-close").focus(); } else $("hood-toggle").focus();
}
$("hood-toggle").addEventListener("click", toggleHood);
$("hood-close").addEventListener("click", toggleHood);

function drawHood() {
  $("hood").hidden = !hoodOpen;
  $("hood-toggle").setAttribute("aria-expanded", String(hoodOpen));
  document.body.classList.toggle("with-hood", hoodOpen);
  $("hood-toggle").replaceChildren("Wire", el("span", { class: "wide-only", text: " & faults" }), ...(seen.faults.length ? [` (${seen.faults.length}`, el("span", { class: "wide-only", text: " on" }), ")"] : []));
  $("hood-toggle").classList.toggle("alarm", seen.faults.length > 0);
  if (!hoodOpen) return;
  if (!$("fault-method").children.length) {
    $("fault-method").replaceChildren(el("option", { value: "*", text: "every method" }), ...seen.methods.map((name) => el("option", { value: name, text: name })));
  }
  $("limits").checked = seen.limits;
  for (const id of ["socket-refresh", "socket-cut"]) {
    $(id).disabled = !seen.sockets;
    $(id).title = seen.sockets ? "" : "The app has no Socket Mode connection.";
  }
  $("faults").replaceChildren(...seen.faults.map((fault) => el("li", {}, el("span", { text: fault.words }), el("button", { onclick: () => act("clear_faults", { id: fault.id }), text: "Switch off" }))));
}

async function drawWire() {
  const list = $("wire");
  if (Number(list.firstElementChild?.dataset.n ?? -1) >= seen.recorded) list.replaceChildren(); // the workspace began anew
  const { entries } = await ask(`/ui/wire?after=${list.firstElementChild?.dataset.n ?? -1}`);
  for (const entry of entries) if (entry.n > Number(list.firstElementChild?.dataset.n ?? -1)) list.prepend(drawEntry(entry));
  while (list.children.length > MOST_LINES) list.lastElementChild.remove();
  sift();
}

// Only the lines in which every word that was typed occurs; bodies count too.
function sift() {
  const wanted = $("wire-only").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const line of $("wire").children) {
    line.hidden = !wanted.every((word) => line.words.includes(word));
    shown += line.hidden ? 0 : 1;
  }
  $("wire-none").hidden = shown > 0 || !wanted.length;
}

function drawEntry(entry) {
  const at = new Date(entry.at * 1000).toLocaleTimeString([], { hour12: false });
  const status = String(entry.status ?? "no answer");
  const details = el("details", {}, el("summary", {},
    el("span", { class: "way", title: entry.way }, el("span", { "aria-hidden": "true", text: entry.way === "app to Slack" ? "→" : "←" }), el("span", { class: "unseen", text: entry.way })),
    el("span", { class: "quiet", text: entry.verb }), el("span", {}, el("code", { text: entry.name })),
    el("span", { class: entry.good ? "status" : "status bad", text: status }), el("span", { class: "quiet ms", text: `${entry.ms < 10 ? entry.ms.toFixed(1) : Math.round(entry.ms)} ms` }),
    entry.note ? el("span", { class: entry.good ? "quiet note" : "note error", text: entry.note }) : null));
  details.addEventListener("toggle", () => {
    if (details.children.length > 1) return;
    const answer = entry.answer === null ? "none" : typeof entry.answer === "string" ? entry.answer || "(empty)" : JSON.stringify(entry.answer, null, 2);
    details.append(el("h4", { text: `Sent at ${at}, ${entry.way}` }), el("pre", { tabindex: "0", "aria-label": "Sent", text: JSON.stringify(entry.sent, null, 2) }),
      el("h4", { text: `Answered ${status}` }), el("pre", { tabindex: "0", "aria-label": "Answer", text: answer }));
  });
  const line = el("li", { "data-n": String(entry.n) }, details);
  line.words = [entry.way, entry.verb, entry.name, status, entry.note, entry.good ? "good" : "failed", JSON.stringify(entry.sent), JSON.stringify(entry.answer)].join(" ").toLowerCase();
  return line;
}

$("wire-only").addEventListener("input", sift);
$("fault-form").addEventListener("submit", (event) => {
  event.preventDefault();
  act("add_fault", { mode: $("fault-mode").value, method: $("fault-method").value, times: $("fault-times").value, seconds: $("fault-seconds").value });
});
$("limits").addEventListener("change", () => act("limits", { enabled: $("limits").checked }));
$("socket-refresh").addEventListener("click", () => act("sockets", { how: "refresh" }));
$("socket-cut").addEventListener("click", () => act("sockets", { how: "cut" }));

// Notes that pass

let toastTimer;
function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $("toast").hidden = true; }, 6000);
}

refresh().then(listen);
