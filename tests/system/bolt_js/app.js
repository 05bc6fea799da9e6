// A small app as others write it, with Slack's own framework for JavaScript. It knows its tokens and one address.

const { App, SocketModeReceiver } = require("@slack/bolt");

const { SLACK_API_URL, SLACK_BOT_TOKEN, SLACK_SIGNING_SECRET, SLACK_APP_TOKEN, OVER } = process.env;
const clientOptions = { slackApiUrl: SLACK_API_URL };
// `clientPingTimeout` is also how long the client waits before it connects again.
const socket = () => new SocketModeReceiver({ appToken: SLACK_APP_TOKEN, clientPingTimeout: 2000, installerOptions: { clientOptions } });
const transport = OVER === "socket" ? { receiver: socket() } : { signingSecret: SLACK_SIGNING_SECRET };

// Who we are is asked once. An event that says "busy" is not answered the first time it comes.
let us;
const busyWith = new Set();
async function authorize(_source, body) {
  us ??= await app.client.auth.test({ token: SLACK_BOT_TOKEN });
  if (body?.event?.text?.includes("busy") && !busyWith.has(body.event_id)) {
    busyWith.add(body.event_id);
    await new Promise(() => {});
  }
  return { botToken: SLACK_BOT_TOKEN, botId: us.bot_id, botUserId: us.user_id, teamId: us.team_id };
}

const app = new App({ authorize, clientOptions, logLevel: "error", ...transport });

const plain = (text) => ({ type: "plain_text", text });
const button = (text, action_id, more = {}) => ({ type: "button", text: plain(text), action_id, ...more });
const input = (block_id, label, element) => ({ type: "input", block_id, label: plain(label), element });

function form(title = "Deploy", more = {}) {
  return {
    type: "modal",
    callback_id: "deploy",
    title: plain(title),
    submit: plain("Go"),
    notify_on_close: true,
    blocks: [
      input("why", "Reason", { type: "plain_text_input", action_id: "text" }),
      input("where", "Host", { type: "external_select", action_id: "host", min_query_length: 1 }),
      { type: "actions", block_id: "also", elements: [button("More", "more"), button("Rename", "rename")] },
    ],
    ...more,
  };
}

const note = (text) => form(text, { callback_id: "note", notify_on_close: false, blocks: [{ type: "section", text: plain(text) }] });

// Commands

app.command("/deploy", async ({ ack, command, respond, say }) => {
  await ack(`Looking at ${command.text}.`);
  const blocks = [
    { type: "section", text: { type: "mrkdwn", text: `Deploy *${command.text}*?` } },
    { type: "actions", block_id: "ask", elements: [button("Approve", "approve", { style: "primary", value: command.text })] },
  ];
  await say({ text: `Deploy ${command.text}?`, blocks });
  await respond({ text: "Asked." });
});

app.command("/form", async ({ ack, body, client }) => {
  await ack();
  await client.views.open({ trigger_id: body.trigger_id, view: form() });
});

app.command("/twice", async ({ ack, body, client, respond }) => {
  await ack();
  await client.views.open({ trigger_id: body.trigger_id, view: form() });
  const error = await client.views.open({ trigger_id: body.trigger_id, view: form() }).catch((problem) => problem.data);
  await respond({ text: error.error });
});

app.command("/wrong", async ({ ack, client, command, respond }) => {
  await ack();
  const blocks = [{ type: "section", text: plain("x".repeat(3001)) }];
  const error = await client.chat.postMessage({ channel: command.channel_id, text: "x", blocks }).catch((problem) => problem.data);
  await respond({ text: `${error.error}: ${error.response_metadata.messages.join("; ")}` });
});

app.command("/chatter", async ({ ack, client, command }) => {
  await ack();
  for (let n = 1; n <= 7; n++) await client.chat.postMessage({ channel: command.channel_id, text: `message ${n}` });
});

app.command("/upload", async ({ ack, client, command }) => {
  await ack();
  await client.filesUploadV2({ channel_id: command.channel_id, filename: "run.log", content: "all of it", initial_comment: "The log" });
});

app.command("/whisper", async ({ ack, client, command }) => {
  await ack();
  const { usergroups } = await client.usergroups.list({ include_users: true });
  const text = usergroups.map((group) => `${group.handle}: ${group.users.length}`).join(", ");
  await client.chat.postEphemeral({ channel: command.channel_id, user: command.user_id, text });
});

// Buttons, choices, modals

app.action("approve", async ({ ack, action, body, respond }) => {
  await ack();
  await respond({ text: `${action.value} was approved by <@${body.user.id}>`, replace_original: true });
});

app.action("more", async ({ ack, body, client }) => {
  await ack();
  await client.views.push({ trigger_id: body.trigger_id, view: note("More about it") });
});

app.action("rename", async ({ ack, body, client }) => {
  await ack();
  const { id: view_id, hash } = body.view;
  await client.views.update({ view_id, hash, view: form("Renamed") });
  const late = await client.views.update({ view_id, hash, view: form("Too late") }).catch((problem) => problem.data.error);
  await client.chat.postMessage({ channel: "C0OPS", text: `the second update: ${late}` });
});

app.options("host", async ({ ack, payload }) => {
  const names = ["web-01", "web-02", "db-01"].filter((name) => name.startsWith(payload.value));
  await ack({ options: names.map((name) => ({ text: plain(name), value: name })) });
});

app.view("deploy", async ({ ack, body, view, client }) => {
  const values = view.state.values;
  const why = values.why.text.value;
  if (why.length < 5) return ack({ response_action: "errors", errors: { why: "Say more, please." } });
  if (why === "show me") return ack({ response_action: "update", view: note("Shown") });
  if (why === "what else") return ack({ response_action: "push", view: note("Something else") });
  await ack();
  const host = values.where.host.selected_option.value;
  return client.chat.postMessage({ channel: "C0INC", text: `<@${body.user.id}> deploys to ${host}: ${why}` });
});

app.view({ callback_id: "deploy", type: "view_closed" }, async ({ ack, client }) => {
  await ack();
  await client.chat.postMessage({ channel: "C0OPS", text: "the form was closed" });
});

// Shortcuts, events, the Home tab

app.shortcut("open-form", async ({ ack, shortcut, client }) => {
  await ack();
  await client.views.open({ trigger_id: shortcut.trigger_id, view: form("From a shortcut") });
});

app.shortcut("keep", async ({ ack, shortcut, client, respond }) => {
  await ack();
  const at = { channel: shortcut.channel.id, timestamp: shortcut.message.ts };
  await client.reactions.add({ ...at, name: "pushpin" });
  await client.pins.add(at);
  await respond({ text: `Kept: ${shortcut.message.text}` });
});

app.event("app_mention", async ({ event, say, client, context }) => {
  const again = context.retryNum ? ` (delivered again, ${context.retryNum}: ${context.retryReason})` : "";
  const said = await say({ text: "On it", thread_ts: event.ts });
  await client.chat.update({ channel: event.channel, ts: said.ts, text: `Done, <@${event.user}>${again}` });
});

app.event("app_home_opened", async ({ event, client }) => {
  const view = { type: "home", blocks: [{ type: "header", text: plain("Your deployments") }] };
  await client.views.publish({ user_id: event.user, view });
});

app.start({ port: 0, host: "127.0.0.1" }).then((server) => {
  console.log(JSON.stringify({ port: OVER === "socket" ? null : server.address().port }));
});
