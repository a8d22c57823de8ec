#!/usr/bin/env -S python3 -B
"""LiteLLM's stock proxy, unmodified, on a login that valetkey keeps, plugged in with one line.

litellm.py BINARY. Installs the pinned proxy from PyPI into a cache outside of the tree. With a
configuration of the person's, and with none, `valetkey setup litellm --file FILE --write` is all that is
typed; then the proxy answers in Chat Completions, Responses and Anthropic's Messages, and after `--undo`
the file is as it was.
"""

import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request

from plug import named, plugged
from room import TURN_TIMEOUT, cache, check, free_port, installed, run, running, served, skip, until

LITELLM = "1.102.4"
# Seconds. It loads a great many modules, which the first run compiles.
PROXY_START_TIMEOUT = 180
REPLY = "Hello from the sandbox: the token that you borrowed works."
MODEL = "valetkey/gpt-5.5"
HI = [{"role": "user", "content": "hi"}]
WEATHER = {"name": "weather", "arguments": {"city": "Oslo"}}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
# The list of prices that it would fetch, and what it would tell about itself.
QUIET = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "NO_DOCS": "True"}

MINE = b"""\
# The models of this house.\r
model_list:   # the order does not matter\r
- model_name: llama   # the small one\r
  litellm_params: {model: ollama/llama3, api_base: "http://127.0.0.1:9"}\r
\r
litellm_settings:\r
  drop_params: true   # or not"""


def installed_litellm():
    """The pinned proxy, installed once."""
    folder = cache(f"litellm-{LITELLM}")
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"litellm[proxy]=={LITELLM}"]
    try:
        installed(folder, "installed", [sys.executable, "-m", "venv", folder], pip, ["touch", folder / "installed"])
    except (OSError, subprocess.CalledProcessError) as error:
        skip(f"LiteLLM cannot be installed here: {error}")
    return folder / "bin" / "litellm"


class Proxy:
    """The proxy's door."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"

    def open(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json", "authorization": "Bearer sk-anything"}
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return opener.open(urllib.request.Request(self.url + path, data, headers), timeout=TURN_TIMEOUT)

    def ask(self, path, **body):
        with self.open(path, body or None) as answer:
            return json.loads(answer.read())

    def stream(self, path, **body):
        """The data of the events, without the mark of the end."""
        with self.open(path, {**body, "stream": True}) as answer:
            lines = [line[len("data: "):] for line in answer.read().decode().splitlines() if line.startswith("data: ")]
        return [json.loads(line) for line in lines if line != "[DONE]"]

    def lives(self):
        try:
            with self.open("/health/liveliness"):
                return True
        except (urllib.error.URLError, ConnectionError):
            return False


@contextlib.contextmanager
def proxy(room, litellm, file):
    port = free_port()
    room.environment.update(QUIET)
    arguments = [litellm, "--config", file, "--host", "127.0.0.1", "--port", str(port)]
    with running(f"litellm-{port}", arguments, room) as process:
        door = Proxy(port)
        until("the proxy answers", door.lives, process, within=PROXY_START_TIMEOUT)
        yield door


def works(room, sandbox, door, others):
    names = sorted(model["id"] for model in door.ask("/v1/models")["data"])
    ours = [f"valetkey/{model['id']}" for model in json.loads(room.said("models", "--json"))["models"]]
    check(names == sorted(ours + others), "the proxy lists the models of the login beside its own", names)

    answer = door.ask("/v1/chat/completions", model=MODEL, messages=HI)
    check(answer["choices"][0]["message"]["content"] == REPLY, "it answers a chat", answer)
    check(sandbox.requests()[-1]["body"]["model"] == "gpt-5.5", "... by the model that was asked for", sandbox.requests()[-1])
    chunks = door.stream("/v1/chat/completions", model=MODEL, messages=HI)
    pieces = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"]]
    check("".join(pieces) == REPLY and len([piece for piece in pieces if piece]) > 1, "... and streams it", chunks)

    answer = door.ask("/v1/responses", model=MODEL, input="hi")
    said = [part["text"] for item in answer["output"] if item["type"] == "message" for part in item["content"]]
    check(said == [REPLY], "it answers in Responses", answer)
    events = door.stream("/v1/responses", model=MODEL, input="hi")
    check(events[-1]["type"] == "response.completed", "... and streams them to their end", events[-1])

    answer = door.ask("/v1/messages", model=MODEL, max_tokens=100, messages=HI)
    check(answer["content"][-1]["text"] == REPLY, "it answers in Anthropic's Messages", answer)

    sandbox.settings(call_tool=WEATHER)
    answer = door.ask("/v1/chat/completions", model=MODEL, messages=HI, tools=[TOOL])
    call = answer["choices"][0]["message"]["tool_calls"][0]["function"]
    check(call["name"] == "weather" and json.loads(call["arguments"]) == {"city": "Oslo"}, "a tool is called", answer)
    sandbox.settings(call_tool=None)
    named(room, "litellm")


def play(room):
    litellm = installed_litellm()
    mine, none = room.path / "home" / "models.yaml", room.path / "home" / "new" / "config.yaml"
    with served(room) as sandbox:
        for file, before, others in ((mine, MINE, ["llama"]), (none, None, [])):
            with plugged(room, "litellm", file, before, "--file", str(file)) as text:
                check(before is None or "# the small one" in text, "what is the person's stays", text)
                check(file.stat().st_mode & 0o077 == 0, "the file, which holds a key, is the person's alone")
                with proxy(room, litellm, file) as door:
                    works(room, sandbox, door, others)
        check(not room.strayed_tokens(), "no token stands in any file but the daemon's own", room.strayed_tokens())


if __name__ == "__main__":
    sys.exit(run("litellm", play))
