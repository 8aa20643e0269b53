"""How far the TCB of a TEE is behind: its vendor's newest level for Intel, its own firmware and the policy for AMD."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rats_tls.core.claims import IntelTcb, SgxClaims, SnpClaims, SnpTcb, TcbStanding, TdxClaims, TeeClaims
from rats_tls.policy import Entry, IntelMinimumTcb, SnpMinimumTcb

_SNP_COMPONENTS = ("fmc", "bootloader", "tee", "snp", "microcode")
_ABSENT = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbTable:
    """One part of a TCB, component by component.

    Attributes:
        title: the part.
        facts: what is known of it as a whole, as (name, value) pairs.
        columns: headings, the component's name first.
        rows: one for each component that is behind or has a floor; of AMD all.
        behind: whether something is lower than it could or must be.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    behind: bool


@dataclass(frozen=True, slots=True)
class _Floor:
    """The lowest value that each policy entry accepts of one component, by the entry's name."""

    least: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        if len(self.least) == 1:
            return str(self.least[0][1])
        return ", ".join(f"{value} ({name})" for name, value in self.least) or _ABSENT

    def above(self, got: int | None) -> bool:
        """Whether `got` is below what every entry that has a floor demands."""
        return bool(self.least) and all(got is None or got < value for _, value in self.least)


def tcb_tables(claims: TeeClaims | None, entries: Sequence[Entry]) -> tuple[TcbTable, ...]:
    """Give the tables of a TCB.

    Args:
        claims: of the result or refusal; nothing is known of a TCB that was not verified.
        entries: the policy's entries that come into question, for their floors; none where the policy is not known.
    """
    if isinstance(claims, SnpClaims):
        return _snp_tables(claims, entries)
    if isinstance(claims, SgxClaims | TdxClaims):
        return _intel_tables(claims, claims.tcb, entries)
    return ()


# --- Intel --------------------------------------------------------------------------------------------------------
def _intel_tables(
    claims: SgxClaims | TdxClaims, tcb: IntelTcb | None, entries: Sequence[Entry]
) -> tuple[TcbTable, ...]:
    floors = _intel_floors(claims, entries)
    tables = [_standing_table(standing, floors if n == 0 else {}) for n, standing in enumerate(_standings(tcb))]
    if not tables and any(floor.above(got) for got, floor in floors.values()):
        rows = tuple((name, str(got), str(floor)) for name, (got, floor) in floors.items() if floor.above(got))
        tables.append(
            TcbTable(title="platform", facts=(), columns=("component", "has", "floor"), rows=rows, behind=True)
        )
    return tuple(tables)


def _standings(tcb: IntelTcb | None) -> tuple[TcbStanding, ...]:
    return tcb.standings if tcb is not None else ()


def _standing_table(standing: TcbStanding, floors: dict[str, tuple[int, _Floor]]) -> TcbTable:
    facts = [("status", standing.status.value), ("level of", f"{standing.tcb_date:%Y-%m-%d}")]
    days = (standing.newest_date - standing.tcb_date).days
    newest = f"{standing.newest_date:%Y-%m-%d}"
    facts.append(("newest level", f"{newest}, {days} days later" if days > 0 else newest))
    if standing.advisories:
        facts.append(("advisories", ", ".join(standing.advisories)))
    behind = {item.component: item for item in standing.behind}
    below = {name for name, (got, floor) in floors.items() if floor.above(got)}
    shown = [name for name in floors if name in behind or name in below] or list(behind)
    rows: list[tuple[str, ...]] = []
    for name in shown:
        lacking = behind.get(name)
        got, floor = floors[name] if name in floors else (lacking.got if lacking is not None else 0, _Floor(()))
        rows.append((name, str(got), str(lacking.newest) if lacking is not None else _ABSENT, str(floor)))
    columns: tuple[str, ...] = ("component", "has", "newest", "floor")
    if all(row[3] == _ABSENT for row in rows):
        columns, rows = columns[:3], [row[:3] for row in rows]
    return TcbTable(title=standing.part, facts=tuple(facts), columns=columns, rows=tuple(rows), behind=bool(rows))


def _intel_floors(claims: SgxClaims | TdxClaims, entries: Sequence[Entry]) -> dict[str, tuple[int, _Floor]]:
    """Give what the platform has and what the entries demand, by the names of components in claims."""
    minimums = [
        (entry.name, minimum)
        for entry in entries
        if isinstance(minimum := getattr(entry, "min_tcb", None), IntelMinimumTcb)
    ]
    compared: list[tuple[str, int, list[tuple[str, int | None]]]] = []
    if claims.platform is not None:
        for index, got in enumerate(claims.platform.sgx_tcb_components):
            wanted = [(name, m.sgx_components[index] if m.sgx_components else None) for name, m in minimums]
            compared.append((f"SGX component {index + 1}", got, wanted))
        compared.append(("PCE SVN", claims.platform.pce_svn, [(name, m.pce_svn) for name, m in minimums]))
    if isinstance(claims, TdxClaims):
        for index, got in enumerate(claims.tee_tcb_svn):
            wanted = [(name, m.tdx_components[index] if m.tdx_components else None) for name, m in minimums]
            compared.append((f"TDX component {index + 1}", got, wanted))
    return {name: (got, _floor(wanted)) for name, got, wanted in compared}


# --- AMD ----------------------------------------------------------------------------------------------------------
def _snp_tables(claims: SnpClaims, entries: Sequence[Entry]) -> tuple[TcbTable, ...]:
    reported = claims.reported_tcb
    if reported is None:
        return ()
    minimums = [
        (entry.name, minimum)
        for entry in entries
        if isinstance(minimum := getattr(entry, "min_tcb", None), SnpMinimumTcb)
    ]
    rows, behind = [], False
    for name in _SNP_COMPONENTS:
        got = getattr(reported, name)
        floor = _floor((entry, getattr(minimum, name)) for entry, minimum in minimums)
        others = [_component(tcb, name) for tcb in (claims.committed_tcb, claims.current_tcb, claims.launch_tcb)]
        if got is None and not floor.least:
            continue
        behind = (
            behind or floor.above(got) or any(got is not None and other is not None and got < other for other in others)
        )
        rows.append((name, *(str(value) if value is not None else _ABSENT for value in (got, *others)), str(floor)))
    committed, current = (".".join(map(str, v)) for v in (claims.committed_version, claims.current_version))
    return (
        TcbTable(
            title=f"firmware of {claims.product}" if claims.product else "firmware",
            facts=(("version", f"current {current}, committed {committed}"),),
            columns=("component", "reported", "committed", "current", "launch", "floor"),
            rows=tuple(rows),
            behind=behind,
        ),
    )


def _component(tcb: SnpTcb | None, name: str) -> int | None:
    found: int | None = getattr(tcb, name) if tcb is not None else None
    return found


def _floor(wanted: Iterable[tuple[str, int | None]]) -> _Floor:
    return _Floor(tuple((name, value) for name, value in wanted if value is not None))
