"""A simulated world on disk, as commands use it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rats_tls.simulation.policies import policy_for
from rats_tls.simulation.world import SimulatedWorld


@dataclass(frozen=True)
class Site:
    """A simulated world, and a policy for bare Evidence of each TEE."""

    folder: Path
    world: SimulatedWorld

    def collecting(self, tee: str) -> tuple[str, ...]:
        return ("--attester", tee, "--simulation", str(self.folder / "world"), "--trust-anchors", self.anchors)

    @property
    def anchors(self) -> str:
        return str(self.world.trust_anchors_file)

    def policy(self, tee: str) -> Path:
        path = self.folder / f"{tee}.toml"
        path.write_text(policy_for(self.world, tee).to_toml())
        return path
