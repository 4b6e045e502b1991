"""The verdict: may this policy become the champion?

Every rule leaves a sentence, whether it passed or not, so that "not pushed" always says why.

Source: specification 0 (step 7) and 6.1 (reward-hacking gap); the margins are own.
"""

from dataclasses import dataclass

from gpr_core.evaluation.config import VerdictConfig
from gpr_core.evaluation.intervals import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A metric of the policy against the same metric of another method, paired.

    Attributes:
        other: The other method's mean.
        difference: Policy minus other; None if no request counts for both.
    """

    other: float
    difference: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the verdict rests on.

    Attributes:
        illegal_ads: Ads of the policy that may not serve their request.
        hit_rate_label: Name of the headline hit rate, for the sentences.
        hit_rate_against_floor: Headline hit rate against the popularity floor.
        champion: Version of the current champion, None on the first day.
        hit_rate_against_champion: Headline hit rate against the champion; None without one.
        final_value_against_champion: Scaled mean final value against the champion.
        fidelity: Mean rank correlation of simulated and true value; None where no truth exists.
        value_gap_growth: Change, from before to after reinforcement, of mean simulated minus mean
            true final value; None where no truth exists.
        true_value_growth: Mean true final value against the policy before reinforcement; None
            where no truth exists.
    """

    illegal_ads: int
    hit_rate_label: str
    hit_rate_against_floor: Comparison
    champion: str | None = None
    hit_rate_against_champion: Comparison | None = None
    final_value_against_champion: Comparison | None = None
    fidelity: Interval | None = None
    value_gap_growth: Interval | None = None
    true_value_growth: Comparison | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of the verdict, applied.

    Attributes:
        name: Short name.
        passed: Whether the policy may be promoted as far as this rule goes.
        message: What was found and what was demanded.
    """

    name: str
    passed: bool
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """May the policy become the champion?

    Attributes:
        promote: True if every rule passed.
        rules: The rules in the order they were applied.
    """

    promote: bool
    rules: tuple[Rule, ...]

    def reasons(self) -> list[str]:
        """Say why, in sentences.

        Returns:
            The messages of the failed rules; of all rules if none failed.
        """
        return [rule.message for rule in self.rules if self.promote or not rule.passed]


def decide(evidence: Evidence, config: VerdictConfig) -> Verdict:
    """Apply all rules.

    Args:
        evidence: What was measured.
        config: The rules' bounds.

    Returns:
        The verdict.
    """
    rules = [_legality(evidence), _beats_floor(evidence)]
    if evidence.champion is not None:
        rules += [
            _not_worse(
                "hit_rate_not_worse",
                evidence.hit_rate_label,
                evidence.champion,
                evidence.hit_rate_against_champion,
                config.max_hit_rate_loss,
            ),
            _not_worse(
                "final_value_not_worse",
                "mean final value",
                evidence.champion,
                evidence.final_value_against_champion,
                config.max_final_value_loss,
            ),
        ]
    if evidence.fidelity is not None:
        rules.append(_fidelity(evidence.fidelity, config.min_fidelity))
    if evidence.value_gap_growth is not None and evidence.true_value_growth is not None:
        rules.append(
            _no_reward_hacking(
                evidence.value_gap_growth, evidence.true_value_growth, config.max_true_value_loss
            )
        )
    return Verdict(promote=all(rule.passed for rule in rules), rules=tuple(rules))


def _legality(evidence: Evidence) -> Rule:
    """Every emitted ad must be eligible."""
    count = evidence.illegal_ads
    message = f"{count} emitted ads may not serve their request; none is allowed"
    if count == 0:
        message = "every emitted ad may serve its request"
    return Rule(name="legal", passed=count == 0, message=message)


def _beats_floor(evidence: Evidence) -> Rule:
    """The policy must be surely better than popularity."""
    name, comparison = "beats_popularity", evidence.hit_rate_against_floor
    found = comparison.difference
    if found is None:
        return Rule(name=name, passed=False, message="no request to compare with popularity on")
    passed = found.ci_low > 0
    relation = "is above" if passed else "is not surely above"
    message = (
        f"{evidence.hit_rate_label} {relation} the popularity floor {comparison.other:.4f}: "
        f"difference {_text(found)}"
    )
    return Rule(name=name, passed=passed, message=message)


def _not_worse(
    name: str, label: str, champion: str, comparison: Comparison | None, max_loss: float
) -> Rule:
    """The policy may lose at most a margin against the champion."""
    if comparison is None or comparison.difference is None:
        message = f"{label} was not compared with champion {champion}"
        return Rule(name=name, passed=False, message=message)
    found, bound = comparison.difference, -max_loss * abs(comparison.other)
    passed = found.ci_low >= bound
    relation = "is not worse than" if passed else "may be worse than"
    message = (
        f"{label} {relation} champion {champion} ({comparison.other:.4f}): "
        f"difference {_text(found)}, its lower end must reach {bound:+.4f}"
    )
    return Rule(name=name, passed=passed, message=message)


def _fidelity(found: Interval, bound: float) -> Rule:
    """The simulator must order ads as the truth does."""
    passed = found.value >= bound
    relation = "reaches" if passed else "is below"
    message = (
        f"simulator fidelity {found.value:.3f} [{found.ci_low:.3f}, {found.ci_high:.3f}] "
        f"{relation} {bound:.2f} (rank correlation of simulated and true final value)"
    )
    return Rule(name="simulator_fidelity", passed=passed, message=message)


def _no_reward_hacking(gap: Interval, true: Comparison, max_loss: float) -> Rule:
    """Reinforcement must not raise simulated value while true value surely falls."""
    name, growth = "no_reward_hacking", true.difference
    if growth is None:
        return Rule(name=name, passed=False, message="no request to compare true values on")
    hacked = gap.ci_low > 0 and growth.ci_high < -max_loss * abs(true.other)
    judgement = "reward hacking" if hacked else "no reward hacking"
    message = (
        f"{judgement}: during reinforcement true final value changed by {_text(growth)} from "
        f"{true.other:.4f}, and simulated minus true final value by {_text(gap)}"
    )
    return Rule(name=name, passed=not hacked, message=message)


def _text(interval: Interval) -> str:
    """Write a difference with its interval."""
    return f"{interval.value:+.4f} [{interval.ci_low:+.4f}, {interval.ci_high:+.4f}]"
