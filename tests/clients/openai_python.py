#!/usr/bin/env -S python3 -B
"""OpenAI's Python SDK, unmodified, on a login that valetkey keeps.

openai_python.py BINARY. Installs the pinned SDK from PyPI into a cache outside of the tree, then asks
the sandbox vendor through a daemon: over loopback with a local key, and over the Unix socket. Every
kind of answer is held to what the SDK makes of it, and every kind of failure to its exception class.
"""

import asyncio
import contextlib
import json
import os
import sys

from room import cache, check, installed, quiet_environment, run, served, skip

OPENAI = "3.54.0"
LITE, PLAIN = "gpt-6.1-sol", "gpt-5.5"
PICTURE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGD4DwABBAEAX+XDSwAAAABJRU5ErkJggg=="
REPLY = "Two words, and a third."
LIMIT = {"error": {
    "type": "usage_limit_reached", "message": "The usage limit has been reached",
    "plan_type": "plus", "resets_at": 1999999999, "resets_in_seconds": 3600}}
OVERLOADED = [
    {"type": "response.created", "response": {"id": "resp_1", "object": "response", "status": "in_progress", "output": []}},
    {"type": "response.failed", "response": {
        "id": "resp_1", "object": "response", "status": "failed", "output": [],
        "error": {"code": "server_is_overloaded", "message": "Our servers are currently overloaded."}}},
]
PARAMETERS = {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
CALLS = [{"name": "weather", "arguments": {"city": city}} for city in ("Oslo", "Rome")]


def into_the_sdk():
    """Goes on in the Python that has the SDK, which is made once."""
    folder = cache(f"openai-python-{OPENAI}")
    python = folder / "bin" / "python"
    if sys.prefix != str(folder):
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"openai=={OPENAI}"]
        try:
            installed(folder, "installed", [sys.executable, "-m", "venv", folder], pip, ["touch", folder / "installed"])
        except OSError as error:
            skip(f"no Python environment can be made here: {error}")
        # Nothing but the SDK itself may lead it anywhere.
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("OPENAI", "HTTP"))}
        os.execve(python, [python, "-B", *sys.argv], {**kept, **quiet_environment()})


into_the_sdk()

import httpx2  # noqa: E402
import openai  # noqa: E402
import pydantic  # noqa: E402


class Capital(pydantic.BaseModel):
    """What a structured answer holds."""

    city: str
    people: int


class Fixture:
    """One way to the daemon: a client there, and the sandbox behind it."""

    def __init__(self, name, client, sandbox):
        self.name, self.client, self.sandbox = name, client, sandbox
        # What is not to be retried shows best where the SDK would do so at once.
        self.once = client.with_options(max_retries=0)

    def check(self, holds, what, seen=""):
        check(holds, f"{self.name}: {what}", seen)

    def sent(self):
        """The body of the latest request that the backend has had."""
        return self.sandbox.requests()[-1]["body"]

    def fails(self, kind, what, ask, status=None):
        """The exception that a call ends with."""
        try:
            answer = ask()
        except openai.APIError as error:
            good = type(error) is kind and (status is None or error.status_code == status)
            self.check(good, f"{what} is a {kind.__name__}", f"{type(error).__name__}: {error}")
            return error
        self.check(False, f"{what} is a {kind.__name__}", answer)


def responses(f):
    answer = f.client.responses.create(model=LITE, input="hi")
    f.check(answer.output_text == REPLY and answer.status == "completed", "responses.create answers", answer)
    f.check(answer.usage.total_tokens > 0 and answer.model == LITE, "... with what it cost", answer)
    sent = f.sent()
    f.check(sent["stream"] is True and sent["store"] is False, "... asked of the backend as it wants it", sent)

    events = list(f.client.responses.create(model=PLAIN, input="hi", instructions="Be brief.", stream=True))
    kinds = [event.type for event in events]
    f.check(kinds[0] == "response.created" and kinds[-1] == "response.completed", "responses.create streams", kinds)
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    f.check(text == REPLY and events[-1].response.output_text == REPLY, "... and ends with all that was said", events[-1])
    f.check(f.sent()["instructions"] == "Be brief.", "... under the client's instructions", f.sent())

    with f.client.responses.stream(model=LITE, input="hi") as stream:
        seen = sum(1 for event in stream if event.type == "response.output_text.delta")
        f.check(seen > 1 and stream.get_final_response().output_text == REPLY, "responses.stream gathers the answer", seen)

    with structured(f):
        parsed = f.client.responses.parse(model=LITE, input="hi", text_format=Capital)
        f.check(parsed.output_parsed == Capital(city="Oslo", people=700000), "responses.parse gives an object", parsed)
        sent = f.sent()["text"]["format"]
        f.check(sent["type"] == "json_schema" and sent["strict"] is True, "... of the schema that was sent", sent)

    raw = f.client.responses.with_raw_response.create(model=LITE, input="hi", temperature=0.5, max_output_tokens=9)
    dropped = raw.headers.get("x-valetkey-dropped", "")
    f.check("temperature" in dropped and "max_output_tokens" in dropped, "what the backend refuses is dropped and named", raw.headers)
    f.check(raw.parse().output_text == REPLY, "... and the answer comes all the same")

    high = f.client.responses.create(model=f"{PLAIN}-high", input="hi")
    f.check(f.sent()["model"] == PLAIN and f.sent()["reasoning"]["effort"] == "high", "a suffix sets the effort", f.sent())
    f.check(high.output_text == REPLY, "... of a model that answers", high)

    seen = f.client.responses.create(model=LITE, input=[{"role": "user", "content": [
        {"type": "input_text", "text": "what is it"}, {"type": "input_image", "image_url": PICTURE, "detail": "auto"}]}])
    f.check(seen.output_text == REPLY and PICTURE in json.dumps(f.sent()), "a picture travels", f.sent())


@contextlib.contextmanager
def structured(f):
    f.sandbox.settings(reply=json.dumps({"city": "Oslo", "people": 700000}))
    try:
        yield
    finally:
        f.sandbox.settings(reply=REPLY)


@contextlib.contextmanager
def calling(f):
    f.sandbox.settings(call_tool=CALLS)
    try:
        yield
    finally:
        f.sandbox.settings(call_tool=None)


def response_tools(f):
    tool = {"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": True}
    asked = [{"role": "user", "content": "weather?"}]
    with calling(f):
        answer = f.client.responses.create(model=LITE, input=asked, tools=[tool])
        calls = [item for item in answer.output if item.type == "function_call"]
        given = [json.loads(call.arguments)["city"] for call in calls]
        f.check(given == ["Oslo", "Rome"], "two parallel calls arrive", answer.output)
        results = [{"type": "function_call_output", "call_id": call.call_id, "output": "rain"} for call in calls]
        # As the API's own guide has it: everything that was said goes back, reasoning included.
        answer = f.client.responses.create(model=LITE, input=asked + answer.output + results, tools=[tool])
        f.check(answer.output_text == REPLY, "... and are answered", answer.output)
        kinds = [item.get("type", "message") for item in f.sent()["input"]]
        expected = ["message", "reasoning", "function_call", "function_call", "function_call_output", "function_call_output"]
        f.check(kinds == expected, "... with the model's own reasoning", kinds)

        chosen = {"type": "function", "name": "weather"}
        events = list(f.client.responses.create(model=LITE, input=asked, tools=[tool], tool_choice=chosen, stream=True))
        last = [item.type for item in events[-1].response.output]
        f.check(last.count("function_call") == 2, "two parallel calls are streamed", last)


def chat(f):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    answer = f.client.chat.completions.create(model=PLAIN, messages=messages)
    choice = answer.choices[0]
    f.check(choice.message.content == REPLY and choice.finish_reason == "stop", "chat answers", answer)
    f.check(answer.usage.prompt_tokens > 0 and answer.object == "chat.completion", "... with what it cost", answer)
    f.check("Be brief." in f.sent()["instructions"], "... under the system prompt", f.sent())

    options = {"include_usage": True}
    chunks = list(f.client.chat.completions.create(model=PLAIN, messages=messages, stream=True, stream_options=options))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    f.check(deltas[0].role == "assistant" and not any(delta.role for delta in deltas[1:]), "chat streams, role first", deltas[0])
    f.check("".join(delta.content or "" for delta in deltas) == REPLY, "... and all of it", chunks)
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    f.check(reasons[-1] == "stop" and not any(reasons[:-1]), "... with one reason to end", reasons)
    f.check(not chunks[-1].choices and chunks[-1].usage.completion_tokens > 0, "... and the cost last", chunks[-1])

    with f.client.chat.completions.stream(model=PLAIN, messages=messages) as stream:
        final = stream.get_final_completion()
        f.check(final.choices[0].message.content == REPLY, "chat.completions.stream gathers the answer", final)

    with structured(f):
        parsed = f.client.chat.completions.parse(model=PLAIN, messages=messages, response_format=Capital)
        f.check(parsed.choices[0].message.parsed == Capital(city="Oslo", people=700000), "chat.parse gives an object", parsed)

    parts = [{"type": "text", "text": "what is it"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    f.client.chat.completions.create(model=PLAIN, messages=[{"role": "user", "content": parts}])
    f.check(PICTURE in json.dumps(f.sent()["input"]), "a picture travels in chat", f.sent())

    raw = f.client.chat.completions.with_raw_response.create(
        model=PLAIN, messages=messages, temperature=0.5, max_tokens=9, user="me")
    dropped = raw.headers.get("x-valetkey-dropped", "")
    f.check(all(name in dropped for name in ("temperature", "max_tokens", "user")), "what chat drops is named", dropped)


def chat_tools(f):
    tool = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS, "strict": True}}
    messages = [{"role": "user", "content": "weather?"}]
    with calling(f):
        answer = f.client.chat.completions.create(model=LITE, messages=messages, tools=[tool])
        message = answer.choices[0].message
        given = [json.loads(call.function.arguments)["city"] for call in message.tool_calls]
        f.check(given == ["Oslo", "Rome"] and message.content is None, "two parallel calls arrive in chat", message)
        f.check(answer.choices[0].finish_reason == "tool_calls", "... and are why it ends", answer)
        results = [{"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in message.tool_calls]
        answer = f.client.chat.completions.create(model=LITE, messages=[*messages, message, *results], tools=[tool])
        f.check(answer.choices[0].message.content == REPLY, "... and are answered", answer)

        with f.client.chat.completions.stream(model=LITE, messages=messages, tools=[tool]) as stream:
            final = stream.get_final_completion().choices[0]
        given = [json.loads(call.function.arguments)["city"] for call in final.message.tool_calls]
        f.check(given == ["Oslo", "Rome"] and final.finish_reason == "tool_calls", "two parallel calls are streamed in chat", final)


def models(f):
    listed = [model.id for model in f.client.models.list()]
    f.check(LITE in listed and PLAIN in listed, "models are listed", listed)
    one = f.client.models.retrieve(PLAIN)
    f.check(one.id == PLAIN and one.object == "model" and isinstance(one.created, int), "a model is shown", one)
    f.fails(openai.NotFoundError, "no such model", lambda: f.client.models.retrieve("gpt-0"))


def mistakes(f):
    ask = [{"role": "user", "content": "hi"}]
    before = f.sandbox.asked()
    two = f.fails(openai.BadRequestError, "n=2", lambda: f.client.chat.completions.create(model=LITE, messages=ask, n=2))
    f.check(two.param == "n" and two.message, "... that names the parameter", two)
    f.fails(openai.BadRequestError, "previous_response_id",
            lambda: f.client.responses.create(model=LITE, input="hi", previous_response_id="resp_1"))
    unknown = f.fails(openai.NotFoundError, "an unknown model", lambda: f.client.responses.create(model="gpt-0", input="hi"))
    f.check(LITE in str(unknown), "... that names those there are", unknown)
    f.fails(openai.NotFoundError, "an unknown model in chat",
            lambda: f.client.chat.completions.create(model="gpt-0", messages=ask))
    f.check(f.sandbox.asked() == before, "... and none of these is asked of the backend", f.sandbox.asked())


def troubles(f):
    f.sandbox.fault(on="responses", status=429, body=LIMIT, times=0)
    before = f.sandbox.asked()
    limit = f.fails(openai.RateLimitError, "the usage limit", lambda: f.client.responses.create(model=LITE, input="hi"), 429)
    f.check(limit.body["resets_at"] == LIMIT["error"]["resets_at"], "... with the backend's own words", limit.body)
    f.check(f.sandbox.asked() == before + 1, "... asked once, and not again", f.sandbox.asked() - before)
    f.sandbox.clear()

    f.sandbox.settings(events=OVERLOADED, times=1)
    answer = f.once.responses.create(model=LITE, input="hi")
    f.check(answer.output_text == REPLY, "a moment's overload is not noticed", answer)
    f.sandbox.settings(events=OVERLOADED, times=0)
    f.fails(openai.InternalServerError, "a lasting overload", lambda: f.once.responses.create(model=LITE, input="hi"), 503)
    f.fails(openai.InternalServerError, "a lasting overload of a stream",
            lambda: list(f.once.responses.create(model=LITE, input="hi", stream=True)), 503)
    f.sandbox.settings(events=None, times=0)

    ask = [{"role": "user", "content": "hi"}]
    f.sandbox.settings(finish="cut")
    f.fails(openai.InternalServerError, "a stream cut upstream", lambda: f.once.responses.create(model=LITE, input="hi"), 502)
    chat_stream = f.once.chat.completions.create(model=LITE, messages=ask, stream=True)
    f.fails(openai.APIError, "a chat stream cut upstream", lambda: list(chat_stream))
    try:
        kinds = [event.type for event in f.once.responses.create(model=LITE, input="hi", stream=True)]
        f.check(kinds[-1] in ("error", "response.failed"), "a Responses stream cut upstream ends with an error", kinds)
    except openai.APIError as error:
        f.check(type(error) is openai.APIError, "a Responses stream cut upstream ends with an error", error)
    f.sandbox.settings(finish="clean")


async def at_once(room, key):
    """Some calls side by side, as agents make them."""
    async with openai.AsyncOpenAI(base_url=room.base_url, api_key=key) as client:
        asked = [client.responses.create(model=LITE, input=f"hi {number}") for number in range(8)]
        answers = await asyncio.gather(*asked)
    check(all(answer.output_text == REPLY for answer in answers), "eight calls at once are answered")


def play(room):
    with served(room) as sandbox:
        sandbox.settings(reply=REPLY)
        key = room.said("key", "add", "sdk")
        over_tcp = openai.OpenAI(base_url=room.base_url, api_key=key)
        # A proxy of the environment's would be asked before the socket.
        transport = httpx2.HTTPTransport(uds=str(room.socket))
        through_socket = httpx2.Client(transport=transport, timeout=60, trust_env=False)
        over_socket = openai.OpenAI(base_url="http://valetkey/v1", api_key="none needed", http_client=through_socket)
        ways = [Fixture("loopback", over_tcp, sandbox), Fixture("socket", over_socket, sandbox)]
        for fixture in ways:
            for part in (responses, response_tools, chat, chat_tools, models, mistakes, troubles):
                part(fixture)
        asyncio.run(at_once(room, key))

        stranger = Fixture("loopback", openai.OpenAI(base_url=room.base_url, api_key="vk_" + "x" * 43), sandbox)
        stranger.fails(openai.AuthenticationError, "a wrong key", lambda: stranger.client.responses.create(model=LITE, input="hi"))
        room.said("logout")
        for fixture in ways:
            fixture.fails(openai.AuthenticationError, "a login that is gone",
                          lambda fixture=fixture: fixture.client.responses.create(model=LITE, input="hi"))
        check(not room.strayed_tokens(), "no token stands in any file but the daemon's own", room.strayed_tokens())


if __name__ == "__main__":
    run("openai", play)
