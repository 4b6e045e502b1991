"""Tests of the language-model provider."""

import http.server
import json
import logging
import threading
from typing import ClassVar

import pytest

from gpr_core.data.tables import DAY_MS
from gpr_core.knowledge.language_model import HttpModel, LanguageModelProvider
from gpr_core.knowledge.template import TemplateProvider
from gpr_core.support.errors import ConfigError
from tests.gpr_core.knowledge.histories import NO_CONSENT, make_history, user, viewed

FACTS = TemplateProvider()
HISTORY = make_history(
    user(4711), viewed(4711, 1.0, 3), user(2, consent=NO_CONSENT), viewed(2, 1.0, 3)
)
VIEW = HISTORY.view(4711, 2 * DAY_MS)


def test_the_model_is_told_facts_and_never_who_it_is():
    prompts = []

    def complete(prompt):
        prompts.append(prompt)
        return " category8 comes next \n"

    thought = LanguageModelProvider("big", complete, FACTS).generate(VIEW)
    assert (thought.text, thought.provider) == ("category8 comes next", "big")
    assert "category3" in prompts[0]
    assert "4711" not in prompts[0]


def test_nobody_is_asked_about_people_without_consent():
    def complete(prompt):
        raise AssertionError(prompt)

    thought = LanguageModelProvider("big", complete, FACTS).generate(HISTORY.view(2, 2 * DAY_MS))
    assert thought.text == ""


@pytest.mark.parametrize(
    "answer", ["", "...", "write to me@example.com", "call 030 1234 5678", "user 0123456789abcdef"]
)
def test_an_answer_that_may_not_be_stored_is_dropped(answer, caplog):
    with caplog.at_level(logging.WARNING):
        thought = LanguageModelProvider("big", lambda _: answer, FACTS).generate(VIEW)
    assert thought == FACTS.generate(VIEW)
    assert "big failed, template speaks" in caplog.text
    assert "example.com" not in caplog.text


def test_a_dead_endpoint_is_asked_three_times_in_a_row_only():
    calls = []

    def complete(prompt):
        calls.append(prompt)
        if len(calls) == 2:
            return "category1"
        raise OSError("refused")

    provider = LanguageModelProvider("big", complete, FACTS)
    spoke = [provider.generate(VIEW).provider for _ in range(7)]
    # The second call answers, so the count starts anew: calls 3, 4 and 5 fail, then it is left.
    assert spoke == ["template", "big", *["template"] * 5]
    assert len(calls) == 5


class Endpoint(http.server.BaseHTTPRequestHandler):
    """Answers in the chat format, or in another one."""

    body = b""
    seen: ClassVar[dict] = {}

    def do_POST(self):
        """Remember the question and answer."""
        length = int(self.headers["Content-Length"])
        Endpoint.seen = {
            "key": self.headers["Authorization"],
            "question": json.loads(self.rfile.read(length)),
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(Endpoint.body)

    def log_message(self, *_):
        """Stay silent."""


@pytest.fixture
def url():
    server = http.server.HTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/chat"
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_endpoint_is_asked_in_the_chat_format(url):
    Endpoint.body = json.dumps({"choices": [{"message": {"content": "category5"}}]}).encode()
    assert HttpModel(url=url, model="big", key="secret")("what next?") == "category5"
    assert Endpoint.seen["key"] == "Bearer secret"
    assert Endpoint.seen["question"]["messages"] == [{"role": "user", "content": "what next?"}]


def test_another_format_is_an_error_that_leads_to_the_fallback(url):
    Endpoint.body = b'{"text": "category5"}'
    model = HttpModel(url=url, model="big", key="secret")
    with pytest.raises(ValueError, match="the answer has no choices"):
        model("what next?")
    assert LanguageModelProvider("big", model, FACTS).generate(VIEW).provider == "template"


def test_a_closed_port_leads_to_the_fallback():
    model = HttpModel(url="http://127.0.0.1:1/chat", model="big", key="secret", timeout_s=1.0)
    assert LanguageModelProvider("big", model, FACTS).generate(VIEW).provider == "template"


def test_another_scheme_is_refused():
    with pytest.raises(ConfigError, match="url is 'file:///etc/passwd'"):
        HttpModel(url="file:///etc/passwd", model="big", key="secret")
