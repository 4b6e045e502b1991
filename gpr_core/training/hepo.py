"""Post-training with HEPO: rollouts in the simulator, process rewards, a clipped policy update.

A round rolls the policy out, fits the critic, improves the policy for some passes within a trust
region, and keeps the result only if the simulated reward of held-out requests did not fall. Every
draw is a function of (seed, round, pass), so that a killed run resumes to the same bytes.
Letters: B requests, M flat candidates, L levels.

Source: paper section 3.3; loop from specification appendix D.
"""

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import torch
from torch import Tensor

from gpr_core.models.gpr import GPR
from gpr_core.simulation.rollout import Rollout, Simulator
from gpr_core.support.progress import Progress
from gpr_core.support.seeding import derive_seed
from gpr_core.training.checkpointing import load_training, save_training
from gpr_core.training.critic import (
    CriticRows,
    candidate_values,
    rescale_values,
    value_parameters,
    warm_up_critic,
)
from gpr_core.training.hepo_config import HepoConfig
from gpr_core.training.hepo_requests import eligible_share, sampling, split_requests
from gpr_core.training.hepo_round import (
    CodeLossAt,
    Round,
    divergence,
    improve,
    move_between,
    policy_parameters,
    shard_logp,
)
from gpr_core.training.hepo_shard import (
    Shard,
    Targets,
    find_successes,
    make_shard,
    reward_targets,
    shard_advantages,
)

CURVE_COLUMNS = (
    "iteration", "epoch", "updates", "loss", "kl", "clip_share", "stopped", "critic_r2",
    "critic_r2_before", "process_share", "reward", "trial_reward", "step_share", "legal_share",
)  # fmt: skip
_CARRIED = ("critic_r2", "process_share", "reward", "legal_share")

_CHUNK_REQUESTS = 64
_SMALLEST_STEP = 1.0 / 64.0
_SAFETY = 0.95


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Workplace:
    """What HEPO works in.

    Attributes:
        simulator: Frozen system that grades.
        code_loss: (model, update) -> value-aware code loss of one supervised batch, differentiable.
        seed: Run seed.
        scratch: Folder of the checkpoint.
        progress: Where to report progress.
    """

    simulator: Simulator
    code_loss: CodeLossAt
    seed: int
    scratch: Path
    progress: Progress


class HepoResult(NamedTuple):
    """What a run produced beside the changed model.

    Attributes:
        curve: One row per finished phase: `update` int64 and the float64 `CURVE_COLUMNS`.
        rollout: Candidates of the last round's training requests.
        behavior: The policy that made them.
        start_reward: Mean final value of held-out requests under the starting policy.
        reward: The same under the result.
        legal_share: Share of candidates of the result that are eligible, checked anew.
        critic_r2: Held-out R2 of the critic before the first policy step.
        kl: Largest held-out divergence of a round's result from its behavior policy.
    """

    curve: pa.Table
    rollout: Rollout
    behavior: GPR
    start_reward: float
    reward: float
    legal_share: float
    critic_r2: float
    kl: float


def post_train(model: GPR, config: HepoConfig, place: Workplace) -> HepoResult:
    """Improve a policy in the simulator, resuming from the checkpoint in `scratch` if there is one.

    Args:
        model: The starting policy in evaluation mode; changed in place into the result.
        config: Parameters.
        place: Simulator, code loss, seed, scratch folder and progress.

    Returns:
        Curve, rollouts and what the gates look at.

    Raises:
        ContractError: If the snapshot has too few requests.
        GateError: If a loss is not finite.
    """
    return _Hepo(model, config, place).run()


class _Rolled(NamedTuple):
    """Rollouts of a round, grouped by request."""

    rollout: Rollout
    train: Shard
    train_states: Tensor
    held_out: Shard
    held_out_states: Tensor
    reward: float
    legal_share: float


class _Hepo:
    """The loop and its state; everything that changes is in the checkpoint."""

    def __init__(self, model: GPR, config: HepoConfig, place: Workplace) -> None:
        self.model, self.config, self.place = model, config, place
        self.simulator = place.simulator
        self.train_B, self.held_out_B = split_requests(
            place.simulator, config.holdout_share, place.seed
        )
        self.successes = find_successes(place.simulator.snapshot)
        self.reference = copy.deepcopy(model).requires_grad_(requires_grad=False)
        self.behavior = copy.deepcopy(self.reference)
        trained = {id(p) for p in (*policy_parameters(model), *value_parameters(model))}
        for parameter in model.parameters():
            parameter.requires_grad_(id(parameter) in trained)
        self.optimizer = torch.optim.AdamW(
            [
                {"params": policy_parameters(model), "lr": config.learning_rate},
                {"params": value_parameters(model), "lr": config.critic.learning_rate},
            ],
            weight_decay=0.0,
        )
        self.beam = sampling(config, place.simulator.snapshot.rules.advertiser_cap)
        self.rows: list[dict[str, float]] = []
        # What the latest accepted policy did on held-out requests; recomputed after a resume.
        self.held_out: Rollout | None = None

    def run(self) -> HepoResult:
        """Run all rounds, or what is left of them."""
        done = self._resume()
        phases = self.config.epochs + 2
        rolled = None
        for iteration in range(done // phases, self.config.iterations):
            if self.rows and self._last("critic_r2") < self.config.critic.min_r2:
                break
            rolled = self._round(iteration, first_phase=done - iteration * phases)
        if rolled is None:
            rolled = self._roll(int(self._last("iteration")))
        return self._result(rolled)

    def _round(self, iteration: int, *, first_phase: int) -> _Rolled:
        """Run one round from its first unfinished phase: warm-up, passes, decision."""
        if first_phase <= 0:
            self.behavior.load_state_dict(self.model.state_dict())
        self.place.progress.phase(f"round {iteration + 1}: rollouts")
        rolled = self._roll(iteration)
        if first_phase <= 0:
            if iteration == 0:
                value_M = rolled.train.final_value_M
                rescale_values(self.model, float(value_M.mean()), float(value_M.std()))
            self._warm_up(iteration, rolled)
        if self._last("critic_r2") < self.config.critic.min_r2:
            return rolled
        found = self._make_round(iteration, rolled)
        for epoch in range(max(first_phase - 1, 0), self.config.epochs):
            self._pass(found, epoch)
        self._decide(iteration, rolled)
        return rolled

    def _roll(self, iteration: int) -> _Rolled:
        """Let the behavior policy propose, on training and on held-out requests."""
        seed = derive_seed(self.place.seed, "hepo rollout", iteration)
        rollout = self.simulator.rollout(self.behavior, self.train_B, self.beam, seed=seed)
        held_out = self.held_out or self._held_out_rollout(self.behavior)
        self.held_out = held_out
        train_shard = make_shard(self.simulator, rollout, self.successes)
        held_out_shard = make_shard(self.simulator, held_out, self.successes)
        return _Rolled(
            rollout=rollout,
            train=train_shard,
            train_states=self._value_states(train_shard),
            held_out=held_out_shard,
            held_out_states=self._value_states(held_out_shard),
            reward=float(held_out.rewards.final_value_M.mean()),
            legal_share=min(
                eligible_share(self.simulator, rollout), eligible_share(self.simulator, held_out)
            ),
        )

    def _held_out_rollout(self, policy: GPR) -> Rollout:
        """Roll out on held-out requests with the same draws in every round."""
        seed = derive_seed(self.place.seed, "hepo held-out rollout")
        return self.simulator.rollout(policy, self.held_out_B, self.beam, seed=seed)

    def _warm_up(self, iteration: int, rolled: _Rolled) -> None:
        """Fit the critic, then freeze it beside the behavior policy."""
        self.place.progress.phase(f"round {iteration + 1}: critic")
        fit = warm_up_critic(
            self.model,
            self.optimizer,
            self._critic_rows(iteration, rolled.train, rolled.train_states),
            self._critic_rows(iteration, rolled.held_out, rolled.held_out_states),
            self.config.critic,
            clip_norm=self.config.clip_norm,
            stream=(self.place.seed, "hepo critic", iteration),
        )
        self.behavior.load_state_dict(self.model.state_dict())
        self._record(
            iteration=iteration,
            epoch=-1.0,
            critic_r2=fit.r2,
            critic_r2_before=fit.r2_before,
            process_share=self._process_share(iteration, rolled.train),
            reward=rolled.reward,
            legal_share=rolled.legal_share,
        )

    def _make_round(self, iteration: int, rolled: _Rolled) -> Round:
        """Compute the constants of a round with the frozen critic."""
        targets = self._targets(iteration, rolled.train)
        rows = self._critic_rows(iteration, rolled.train, rolled.train_states)
        with torch.no_grad():
            value_ML = candidate_values(
                self.behavior, rows.value_state_BX, rows.row_M, rows.path_ML
            )
        reference_logp_ML = rolled.train.logp_ML
        if iteration > 0:
            reference_logp_ML = shard_logp(self.reference, self.simulator, rolled.train)
        return Round(
            model=self.model,
            optimizer=self.optimizer,
            simulator=self.simulator,
            shard=rolled.train,
            advantage_ML=shard_advantages(
                rolled.train, targets, value_ML.cpu(), self.config.advantage
            ),
            return_ML=targets.return_ML,
            reference_logp_ML=reference_logp_ML,
            code_loss=self.place.code_loss,
            config=self.config,
            seed=self.place.seed,
            iteration=iteration,
            progress=self.place.progress,
        )

    def _pass(self, found: Round, epoch: int) -> None:
        """Make one pass, unless the trust region ended an earlier one of this round."""
        if self._last("epoch") >= 0 and self._last("stopped") > 0:
            self._record(iteration=found.iteration, epoch=epoch, stopped=1.0)
            return
        self.place.progress.phase(f"round {found.iteration + 1}: pass {epoch + 1}")
        passed = improve(found, epoch)
        self._record(
            iteration=found.iteration,
            epoch=epoch,
            loss=passed.loss,
            kl=passed.kl,
            clip_share=passed.clip_share,
            updates=passed.updates,
            stopped=float(passed.stopped),
        )

    def _decide(self, iteration: int, rolled: _Rolled) -> None:
        """Go back into the trust region, and keep the policy only if it earns no less."""
        self.place.progress.phase(f"round {iteration + 1}: decision")
        share, kl = 1.0, divergence(self.model, self.simulator, rolled.held_out)
        while kl > self.config.kl_cap and share > _SMALLEST_STEP:
            # Divergence grows with the square of the step.
            shorter = max(_SAFETY * math.sqrt(self.config.kl_cap / kl), 0.5)
            share *= shorter
            move_between(self.model, self.behavior, shorter)
            kl = divergence(self.model, self.simulator, rolled.held_out)
        trial = self._held_out_rollout(self.model)
        reward = float(trial.rewards.final_value_M.mean())
        legal_share = eligible_share(self.simulator, trial)
        accepted = kl <= self.config.kl_cap and reward >= rolled.reward and legal_share == 1.0
        if accepted:
            self.held_out = trial
        else:
            move_between(self.model, self.behavior, 0.0)
            share, kl = 0.0, 0.0
        self._record(
            iteration=iteration,
            epoch=float(self.config.epochs),
            kl=kl,
            reward=reward if accepted else rolled.reward,
            trial_reward=reward,
            legal_share=min(legal_share, rolled.legal_share),
            step_share=share,
        )

    def _targets(self, iteration: int, shard: Shard) -> Targets:
        """Standardize rewards with the constants frozen for the snapshot."""
        return reward_targets(
            shard,
            self.config.advantage,
            iteration=iteration,
            mean=float(self.model.value_mean),
            std=float(self.model.value_std),
        )

    def _process_share(self, iteration: int, shard: Shard) -> float:
        """Mean process reward of a path in deviations of the terminal reward (T21)."""
        reward_ML = self._targets(iteration, shard).reward_ML
        return float(reward_ML[:, :-1].sum(1).mean() / reward_ML[:, -1].std())

    def _critic_rows(self, iteration: int, shard: Shard, states: Tensor) -> CriticRows:
        """Collect what the critic sees of a shard."""
        return CriticRows(
            states,
            shard.owner_M.to(states.device),
            shard.path_ML.to(states.device),
            self._targets(iteration, shard).return_ML.to(states.device),
        )

    def _value_states(self, shard: Shard) -> Tensor:
        """Let the behavior policy read the requests of a shard: [B, 3 * D] without gradient."""
        with torch.no_grad():
            parts = [
                self.behavior.read(
                    self.simulator.read(shard.row_B[start : start + _CHUNK_REQUESTS])
                ).value_state_MX
                for start in range(0, shard.row_B.size, _CHUNK_REQUESTS)
            ]
        return torch.cat(parts)

    def _last(self, column: str) -> float:
        """Read a column of the latest phase."""
        return self.rows[-1][column]

    def _record(self, **values: float) -> None:
        """Note a finished phase and write a checkpoint; rates and rewards carry on."""
        carried = {name: self._last(name) for name in _CARRIED} if self.rows else {}
        row = dict.fromkeys(CURVE_COLUMNS, 0.0) | carried
        self.rows.append(row | {name: float(value) for name, value in values.items()})
        save_training(
            self.place.scratch,
            update=len(self.rows),
            modules={"model": self.model, "behavior": self.behavior},
            optimizer=self.optimizer,
            curve=torch.tensor(
                [[row[name] for name in CURVE_COLUMNS] for row in self.rows], dtype=torch.float64
            ),
        )

    def _resume(self) -> int:
        """Restore the latest checkpoint; returns the number of finished phases."""
        found = load_training(
            self.place.scratch,
            modules={"model": self.model, "behavior": self.behavior},
            optimizer=self.optimizer,
        )
        if found is None:
            return 0
        done, curve = found
        self.rows = [dict(zip(CURVE_COLUMNS, row, strict=True)) for row in curve.tolist()]
        return done

    def _result(self, rolled: _Rolled) -> HepoResult:
        """Collect what the gates and the artifacts need."""
        columns = {"update": pa.array(range(1, len(self.rows) + 1), pa.int64())}
        for name in CURVE_COLUMNS:
            columns[name] = pa.array([row[name] for row in self.rows], pa.float64())
        decisions = [row for row in self.rows if row["epoch"] == self.config.epochs]
        return HepoResult(
            curve=pa.table(columns),
            rollout=rolled.rollout,
            behavior=self.behavior,
            start_reward=self.rows[0]["reward"],
            reward=self._last("reward"),
            legal_share=min(row["legal_share"] for row in self.rows),
            critic_r2=self.rows[0]["critic_r2"],
            kl=max((row["kl"] for row in decisions), default=0.0),
        )
