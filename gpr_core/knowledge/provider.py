"""Who can say something about a user."""

from typing import NamedTuple, Protocol

from gpr_core.knowledge.views import UserView


class Thought(NamedTuple):
    """What a provider says about a user.

    Attributes:
        text: In category and brand words; empty if there is nothing to say.
        confidence: In [0, 1]; 0 for an empty text.
        provider: Who really wrote it. A fallback signs with its own name, so that no gain is
            credited to a model that was not there (T39).
        prompt_hash: Hex hash of what it was asked, apart from the user.
    """

    text: str
    confidence: float
    provider: str
    prompt_hash: str


class ThoughtProvider(Protocol):
    """Says something about a user, from a view of the past alone.

    Attributes:
        name: At most 64 characters.
        prompt_hash: Hex hash of template and settings; another hash is another provider.
    """

    @property
    def name(self) -> str:
        """Name of the provider."""
        ...

    @property
    def prompt_hash(self) -> str:
        """Hash of template and settings."""
        ...

    def generate(self, view: UserView) -> Thought:
        """Say something about a user.

        Args:
            view: The user at the start of a day.

        Returns:
            The thought; empty without consent or without events.
        """
        ...
