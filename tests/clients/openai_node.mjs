#!/usr/bin/env node
// OpenAI's JavaScript SDK, unmodified, on a login that valetkey keeps.
//
// Not for use by hand: openai_node.py installs the pinned SDK, starts what it needs and runs this with
// VALETKEY_BASE_URL, VALETKEY_KEY and VALETKEY_SANDBOX set.

import { createRequire } from "node:module";
import process from "node:process";

const { default: OpenAI } = await import(createRequire(`${process.env.VALETKEY_MODULES}/`).resolve("openai"));

const LITE = "gpt-6.1-sol";
const PLAIN = "gpt-5.5";
const REPLY = "Two words, and a third.";
const sandboxUrl = process.env.VALETKEY_SANDBOX;
const client = new OpenAI({ baseURL: process.env.VALETKEY_BASE_URL, apiKey: process.env.VALETKEY_KEY });
const once = new OpenAI({ baseURL: process.env.VALETKEY_BASE_URL, apiKey: process.env.VALETKEY_KEY, maxRetries: 0 });
const messages = [{ role: "system", content: "Be brief." }, { role: "user", content: "hi" }];

function check(holds, what, seen) {
  if (!holds) {
    console.error(`FAIL  ${what}\n${JSON.stringify(seen, null, 1)}`);
    process.exit(1);
  }
  console.log(`  ok  node: ${what}`);
}

async function lever(name, body, method = "POST") {
  const answer = await fetch(`${sandboxUrl}/_sandbox/${name}`, {
    method,
    headers: { "content-type": "application/json" },
    body: method === "POST" ? JSON.stringify(body) : undefined,
  });
  if (!answer.ok) throw new Error(`the lever ${name} does not take ${JSON.stringify(body)}`);
  return answer.json();
}

const asked = async () => (await lever("stats", null, "GET")).endpoints.responses?.requests ?? 0;

async function fails(kind, what, ask, status) {
  let answer;
  try {
    answer = await ask();
  } catch (error) {
    check(error instanceof kind && (!status || error.status === status), `${what} is a ${kind.name}`, String(error));
    return error;
  }
  return check(false, `${what} is a ${kind.name}`, answer);
}

async function all(stream) {
  const seen = [];
  for await (const event of stream) seen.push(event);
  return seen;
}

async function responses() {
  const answer = await client.responses.create({ model: LITE, input: "hi" });
  check(answer.output_text === REPLY && answer.usage.total_tokens > 0, "responses.create answers", answer);
  const events = await all(await client.responses.create({ model: LITE, input: "hi", stream: true }));
  const kinds = events.map((event) => event.type);
  check(kinds[0] === "response.created" && kinds.at(-1) === "response.completed", "responses.create streams", kinds);
  const stream = client.responses.stream({ model: PLAIN, input: "hi" });
  await all(stream);
  const final = await stream.finalResponse();
  check(final.output.at(-1).content[0].text === REPLY, "responses.stream gathers the answer", final);
}

async function chat() {
  const answer = await client.chat.completions.create({ model: PLAIN, messages });
  const [choice] = answer.choices;
  check(choice.message.content === REPLY && choice.finish_reason === "stop", "chat answers", answer);
  const options = { include_usage: true };
  const chunks = await all(
    await client.chat.completions.create({ model: PLAIN, messages, stream: true, stream_options: options }),
  );
  const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
  check(text === REPLY && chunks.at(-1).usage.total_tokens > 0, "chat streams, the cost last", chunks.at(-1));
  const final = await client.chat.completions.stream({ model: PLAIN, messages }).finalContent();
  check(final === REPLY, "chat.completions.stream gathers the answer", final);
}

async function tools() {
  const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
  const tool = { type: "function", function: { name: "weather", parameters } };
  const calls = ["Oslo", "Rome"].map((city) => ({ name: "weather", arguments: { city } }));
  await lever("settings", { call_tool: calls });
  const question = [{ role: "user", content: "weather?" }];
  const answer = await client.chat.completions.create({ model: LITE, messages: question, tools: [tool] });
  const { message } = answer.choices[0];
  const cities = message.tool_calls.map((call) => JSON.parse(call.function.arguments).city);
  check(cities.join() === "Oslo,Rome", "two parallel calls arrive", message);
  const results = message.tool_calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: "rain" }));
  const next = await client.chat.completions.create({
    model: LITE,
    messages: [...question, message, ...results],
    tools: [tool],
  });
  check(next.choices[0].message.content === REPLY, "... and are answered", next);
  await lever("settings", { call_tool: null });
}

async function models() {
  const listed = [];
  for await (const model of client.models.list()) listed.push(model.id);
  check(listed.includes(LITE), "models are listed", listed);
  check((await client.models.retrieve(PLAIN)).id === PLAIN, "a model is shown");
}

async function troubles() {
  const ask = (more) => () => client.chat.completions.create({ model: LITE, messages, ...more });
  await fails(OpenAI.BadRequestError, "n=2", ask({ n: 2 }));
  await fails(OpenAI.NotFoundError, "an unknown model", ask({ model: "gpt-0" }));
  const stranger = new OpenAI({ baseURL: process.env.VALETKEY_BASE_URL, apiKey: "vk_wrong" });
  await fails(OpenAI.AuthenticationError, "a wrong key", () => stranger.models.list());

  const error = { type: "usage_limit_reached", message: "The usage limit has been reached", resets_at: 1999999999 };
  await lever("faults", { on: "responses", status: 429, body: { error }, times: 0 });
  const before = await asked();
  const limit = await fails(OpenAI.RateLimitError, "the usage limit", ask({}));
  check(limit.error.resets_at === error.resets_at, "... with the backend's own words", limit.error);
  check((await asked()) === before + 1, "... asked once, and not again", await asked());
  await lever("faults", null, "DELETE");

  await lever("settings", { finish: "cut" });
  await fails(OpenAI.InternalServerError, "a stream cut upstream", () =>
    once.responses.create({ model: LITE, input: "hi" }), 502);
  await fails(OpenAI.APIError, "a chat stream cut upstream", async () =>
    all(await once.chat.completions.create({ model: LITE, messages, stream: true })));
  await lever("settings", { finish: "clean" });
}

await lever("settings", { reply: REPLY });
for (const part of [responses, chat, tools, models, troubles]) await part();
