"""A loop that was found in short traces, and the proof that it is the network."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.diagnostics import CompileError, Diagnostic, Loc, error
from snnc.frontends.peel import Simplifier
from snnc.frontends.step import StepProgram
from snnc.frontends.totals import with_totals
from snnc.frontends.tracer import Tracer
from snnc.frontends.unroll import proves, unroll


@dataclass(frozen=True)
class Candidate:
    """A loop that is yet to be proven.

    Attributes:
        program: One step and what follows the last one.
        simplify: What the two sides of the proof are brought to before they are compared.
        totals: Whether running sums were replaced before the comparison.
    """

    program: StepProgram
    simplify: Simplifier
    totals: bool

    def traced(self, tracer: Tracer, steps: int) -> list[int]:
        """The outputs of the network, in the form in which the loop was found."""
        roots, _ = tracer.roots(steps)
        return with_totals(tracer.dag, roots, steps) if self.totals else roots

    def proof(self, tracer: Tracer, steps: int) -> str | None:
        """How the loop equals the network at a number of steps, or None."""
        return proves(tracer.dag, self.program, steps, self.traced(tracer, steps), self.simplify)


class UnlikeError(CompileError):
    """A loop that is the network at few steps and is not at its own number of steps."""

    def __init__(self, tracer: Tracer, candidate: Candidate, good: int, bad: int) -> None:
        super().__init__([not_reproduced(bad)])
        self.tracer, self.candidate, self.good, self.bad = tracer, candidate, good, bad

    def named(self) -> Diagnostic:
        """The refusal, with the step at which the network becomes unlike the loop."""
        good, bad = self.good, self.bad
        while bad - good > 1:
            steps = (good + bad) // 2
            try:
                proof = self.candidate.proof(self.tracer, steps)
            except CompileError:  # a size of the model that time cannot be told from
                break
            good, bad = (good, steps) if proof is None else (steps, bad)
        which = f"step {good}" if bad == good + 1 else f"one of the steps {good} to {bad - 1}"
        return error(
            "E133",
            f"{which} (the first is 0) computes something else than the steps before it",
            self._place(bad),
            f"the loop found in {self.good} steps is the network up to {good} steps, not at {bad}",
            help="compute the same at every step; what changes on the way can be an input, as in "
            "torch.where(late > 0, a, b)",
        )

    def _place(self, steps: int) -> Loc | None:
        """Where the first term stands that the unrolled loop does not have."""
        dag, found = self.tracer.dag, self.candidate
        have = dag.cone(found.simplify(unroll(dag, found.program, steps)))
        traced = found.simplify(found.traced(self.tracer, steps))
        new = (x for x in dag.sorted_cone(traced) if x not in have and dag[x].args)
        return next((loc for x in new if (loc := dag[x].source.loc) and loc.line), None)


def not_reproduced(steps: int) -> Diagnostic:
    """E133 of a proof that failed."""
    return error(
        "E133",
        f"the recovered step does not reproduce the network at {steps} steps",
        None,
        "the loop does something at some steps that it does not do at others",
    )
