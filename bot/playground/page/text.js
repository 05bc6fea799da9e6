// Text to DOM nodes: Slack's mrkdwn, and the subset of Markdown that `markdown` blocks use.
// Everything untrusted ends in a text node; no string is ever parsed as HTML.

const EMOJI = {
  white_check_mark: "✅", x: "❌", warning: "⚠️", no_entry: "⛔", rotating_light: "🚨", hourglass: "⌛", eyes: "👀",
  hourglass_flowing_sand: "⏳", tada: "🎉", thumbsup: "👍", "+1": "👍", "-1": "👎", lock: "🔒", unlock: "🔓", bell: "🔔",
  raised_hand: "✋", alarm_clock: "⏰", leftwards_arrow_with_hook: "↩️", no_entry_sign: "🚫", electric_plug: "🔌", fast_forward: "⏩",
  zap: "⚡", bar_chart: "📊", email: "📧",
  stop_sign: "🛑", octagonal_sign: "🛑", arrows_counterclockwise: "🔄", repeat: "🔁", rewind: "⏪", mag: "🔍", gear: "⚙️",
  large_green_circle: "🟢", large_yellow_circle: "🟡", red_circle: "🔴", white_circle: "⚪", black_square_for_stop: "⏹️",
  double_vertical_bar: "⏸️", arrow_forward: "▶️", wrench: "🔧", memo: "📝", clipboard: "📋", raised_hands: "🙌", wave: "👋",
  heavy_check_mark: "✔️", question: "❓", information_source: "ℹ️", link: "🔗", fire: "🔥", shield: "🛡️", clock1: "🕐",
  large_blue_circle: "🔵", large_green_square: "🟩", large_red_square: "🟥", large_orange_square: "🟧", large_blue_square: "🟦",
  white_large_square: "⬜", turtle: "🐢", ocean: "🌊", page_facing_up: "📄", house: "🏠", calendar: "📅",
};

export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value") node.value = value;
    else if (value === true) node.setAttribute(name, "");
    else node.setAttribute(name, value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

const unescape = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

export const emoji = (name) => EMOJI[name] ?? `:${name}:`;

export function link(url, label) {
  let safe = false;
  try { safe = ["http:", "https:", "mailto:"].includes(new URL(url).protocol); } catch { safe = false; }
  const shown = label || url;
  return safe ? el("a", { href: url, target: "_blank", rel: "noopener noreferrer nofollow", text: shown }) : el("span", { text: shown });
}

export const mention = (text, mine = false) => el("span", { class: mine ? "mention mine" : "mention", text });

function date(inner) {
  const [, seconds, format] = inner.split("^");
  const when = new Date(Number(seconds) * 1000);
  if (Number.isNaN(when.getTime())) return null;
  const day = when.toLocaleDateString(undefined, { dateStyle: "medium" });
  const days = Math.round((new Date(when).setHours(0, 0, 0, 0) - new Date().setHours(0, 0, 0, 0)) / 86_400_000);
  const near = { "-1": "yesterday", 0: "today", 1: "tomorrow" }[days] ?? day;
  const forms = { date_num: when.toISOString().slice(0, 10), time: when.toLocaleTimeString(undefined, { timeStyle: "short" }),
    time_secs: when.toLocaleTimeString(), date: day, date_short: day, date_long: day, date_pretty: near,
    date_short_pretty: near, date_long_pretty: near, ago: when.toLocaleString() };
  const text = (format ?? "").replace(/\{(\w+)\}/g, (whole, token) => forms[token] ?? whole);
  return el("time", { datetime: when.toISOString(), text });
}

function entity(inner, names) {
  const bar = inner.indexOf("|");
  const target = bar < 0 ? inner : inner.slice(0, bar);
  const label = bar < 0 ? "" : unescape(inner.slice(bar + 1));
  if (target.startsWith("#")) return mention("#" + (names.channel(target.slice(1)) || label || target.slice(1)));
  if (target.startsWith("@")) {
    const id = target.slice(1);
    return mention("@" + (names.person(id) || label || id), id === names.me);
  }
  if (target.startsWith("!subteam^")) return mention("@" + (names.group(target.slice(9)) || label.replace(/^@/, "") || "group"));
  if (target.startsWith("!date^")) return date(target.slice(1)) ?? el("span", { text: label });
  if (target.startsWith("!")) return mention("@" + (label || target.slice(1)));
  return link(unescape(target), label);
}

const INLINE = /(`[^`\n]+`)|<([^<>\n]+)>|:([a-z0-9_+-]+):|(?<![\w*])\*(?=\S)([^*\n]*[^*\s])\*(?![\w*])|(?<![\w_])_(?=\S)([^_\n]*[^_\s])_(?![\w_])|(?<![\w~])~(?=\S)([^~\n]*[^~\s])~(?![\w~])/g;

function inline(text, names) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    if (found.index > end) nodes.push(unescape(text.slice(end, found.index)));
    const [whole, code, mark, icon, bold, italic, strike] = found;
    if (code) nodes.push(el("code", { text: unescape(code.slice(1, -1)) }));
    else if (mark) nodes.push(entity(mark, names));
    else if (icon) nodes.push(emoji(icon));
    else if (bold) nodes.push(el("strong", {}, inline(bold, names)));
    else if (italic) nodes.push(el("em", {}, inline(italic, names)));
    else if (strike) nodes.push(el("s", {}, inline(strike, names)));
    end = found.index + whole.length;
  }
  if (end < text.length) nodes.push(unescape(text.slice(end)));
  return nodes;
}

export function mrkdwn(text, names) {
  const parts = String(text ?? "").split(/```\n?/);
  return parts.flatMap((part, index) => {
    if (index % 2 === 1 && index < parts.length - 1) return [el("pre", {}, el("code", { text: unescape(part) }))];
    return lines(index % 2 === 1 ? "```" + part : part, names);
  });
}

function lines(text, names) {
  const nodes = [];
  let quote = null;
  text.split("\n").forEach((line, index) => {
    const quoted = /^(>|&gt;) ?/.exec(line);
    if (quoted) {
      if (!quote) nodes.push((quote = el("blockquote")));
      else quote.append(el("br"));
      quote.append(...inline(line.slice(quoted[0].length), names));
    } else {
      if (index > 0 && !quote) nodes.push(el("br"));
      quote = null;
      nodes.push(...inline(line, names));
    }
  });
  return nodes;
}

export function textObject(part, names) {
  return part.type === "mrkdwn" ? mrkdwn(part.text, names) : plainText(part);
}

function plainText(part) {
  const shown = part.emoji === false ? part.text : part.text.replace(/:([a-z0-9_+-]+):/g, (whole, name) => EMOJI[name] ?? whole);
  return shown.split("\n").flatMap((line, index) => (index ? [el("br"), line] : [line]));
}

// Markdown proper

const MARKED = /(`[^`\n]+`)|\*\*([^*\n]+)\*\*|__([^_\n]+)__|(?<!\*)\*([^*\n]+)\*(?!\*)|(?<!\w)_([^_\n]+)_(?!\w)|~~([^~\n]+)~~|\[([^\]\n]+)\]\(([^)\s]+)\)/g;

function marked(text) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(MARKED)) {
    if (found.index > end) nodes.push(text.slice(end, found.index));
    const [whole, code, strong, strong2, em, em2, strike, label, url] = found;
    if (code) nodes.push(el("code", { text: code.slice(1, -1) }));
    else if (strong || strong2) nodes.push(el("strong", {}, marked(strong || strong2)));
    else if (em || em2) nodes.push(el("em", {}, marked(em || em2)));
    else if (strike) nodes.push(el("s", {}, marked(strike)));
    else nodes.push(link(url, label));
    end = found.index + whole.length;
  }
  if (end < text.length) nodes.push(text.slice(end));
  return nodes;
}

const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());

export function markdown(text) {
  const out = [];
  const rows = String(text ?? "").split("\n");
  for (let at = 0; at < rows.length; at++) {
    const row = rows[at];
    const heading = /^(#{1,6})\s+(.*)$/.exec(row);
    const item = /^\s*([-*+]|\d+[.)])\s+(.*)$/.exec(row);
    if (/^```/.test(row)) {
      const code = [];
      while (++at < rows.length && !/^```/.test(rows[at])) code.push(rows[at]);
      out.push(el("pre", {}, el("code", { text: code.join("\n") })));
    } else if (heading) out.push(el(`h${Math.min(6, heading[1].length + 2)}`, {}, marked(heading[2])));
    else if (/^\s*([-*_])\1\1+\s*$/.test(row)) out.push(el("hr"));
    else if (item) {
      const tag = /\d/.test(item[1]) ? "ol" : "ul";
      const last = out.at(-1);
      const list = last?.tagName === tag.toUpperCase() ? last : out[out.push(el(tag)) - 1];
      list.append(el("li", {}, marked(item[2])));
    } else if (/^>/.test(row)) out.push(el("blockquote", {}, marked(row.replace(/^> ?/, ""))));
    else if (row.includes("|") && /^[\s|:-]+$/.test(rows[at + 1] ?? "") && (rows[at + 1] ?? "").includes("-")) {
      const table = el("table", {}, el("thead", {}, el("tr", {}, cells(row).map((cell) => el("th", {}, marked(cell))))));
      const body = el("tbody");
      at++;
      while (at + 1 < rows.length && rows[at + 1].includes("|")) {
        body.append(el("tr", {}, cells(rows[++at]).map((cell) => el("td", {}, marked(cell)))));
      }
      table.append(body);
      out.push(table);
    } else if (row.trim()) {
      const last = out.at(-1);
      if (last?.tagName === "P" && rows[at - 1]?.trim()) last.append(el("br"), ...marked(row));
      else out.push(el("p", {}, marked(row)));
    }
  }
  return out;
}
