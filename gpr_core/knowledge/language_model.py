"""Thoughts from a language model, behind any callable or an HTTP endpoint.

The model is told categories and brands, never who the user is. Where it cannot be asked or returns
what may not be stored, another provider speaks, under its own name.
"""

import json
import logging
import re
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

from gpr_core.knowledge.provider import Thought, ThoughtProvider
from gpr_core.knowledge.views import UserView
from gpr_core.knowledge.words import thought_words
from gpr_core.support.errors import ConfigError
from gpr_core.support.hashing import hash_value

_LOGGER = logging.getLogger(__name__)

# The same as rule TH-002 of the contract `thoughts`.
_IDENTIFIER = re.compile(r"[^@\s]+@[^@\s]+\.[a-z]{2,}|\+?[0-9][0-9 -]{7,}[0-9]|[0-9a-f]{16,}")
_MAX_CHARACTERS = 4000
_MAX_FAILURES = 3
_CONFIDENCE = 0.5
_PROMPT = (
    "You know this about a person: {facts}. In at most three sentences, think about what the "
    "person may be interested in next. Use only words like category12 or brand34."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpModel:
    """An endpoint that speaks the common chat format.

    Attributes:
        url: Of the endpoint, http or https.
        model: Name of the model there.
        key: Credential, sent as a bearer token.
        timeout_s: Longest wait for an answer.
    """

    url: str
    model: str
    key: str
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        """Check the scheme."""
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError(f"url is {self.url!r}", fix="use an address with http or https")

    def __call__(self, prompt: str) -> str:
        """Ask the model.

        Args:
            prompt: The question.

        Returns:
            Its answer.

        Raises:
            OSError: If the endpoint does not answer.
            ValueError: If it answers in another format.
        """
        messages = [{"role": "user", "content": prompt}]
        body = {"model": self.model, "messages": messages, "temperature": 0}
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"}
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked
            self.url, data=json.dumps(body).encode(), headers=headers
        )
        with urllib.request.urlopen(request, timeout=self.timeout_s) as answer:  # noqa: S310
            content = json.load(answer)
        try:
            return str(content["choices"][0]["message"]["content"])
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError("the answer has no choices[0].message.content") from error


class LanguageModelProvider:
    """Asks a language model; where that fails, another provider speaks.

    After three failures in a row the model is not asked again: a dead endpoint must not cost a
    timeout per user.

    Args:
        name: Name of the model, as it stands in tables and reports.
        complete: Prompt -> answer; may raise OSError or ValueError.
        facts: Says what is known; also speaks where the model does not.
    """

    def __init__(self, name: str, complete: Callable[[str], str], facts: ThoughtProvider) -> None:
        self._name = name
        self._complete = complete
        self._facts = facts
        self._failures = 0

    @property
    def name(self) -> str:
        """Name of the provider."""
        return self._name

    @property
    def prompt_hash(self) -> str:
        """Hash of the prompt and of the provider of facts."""
        return hash_value([_PROMPT, self._facts.name, self._facts.prompt_hash])[:16]

    def generate(self, view: UserView) -> Thought:
        """Let the model think about a user.

        Args:
            view: The user at the start of a day.

        Returns:
            Its thought, or the thought of the fallback under the fallback's name; empty without
            consent or events, and then nothing is asked.
        """
        known = self._facts.generate(view)
        if not known.text or self._failures >= _MAX_FAILURES:
            return known
        try:
            text = self._complete(_PROMPT.format(facts=known.text)).strip()[:_MAX_CHARACTERS]
            _check_answer(text)
        except (OSError, ValueError) as error:
            self._failures += 1
            _LOGGER.warning("%s failed, %s speaks: %s", self.name, known.provider, error)
            return known
        self._failures = 0
        return Thought(text, _CONFIDENCE, self.name, self.prompt_hash)


def _check_answer(text: str) -> None:
    """Refuse an answer that must not be stored."""
    if not thought_words(text):
        raise ValueError("the answer has no word")
    if _IDENTIFIER.search(text):
        raise ValueError("the answer holds an address, a number or a key")
