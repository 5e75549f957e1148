"""Write `src/powderlens/symmetry/data/subgroups.json`: the maximal subgroups among the 230 space-group types.

Derived, not copied. Source: the operators of the 230 groups and the identification of a group from its operators,
both of moyopy (MIT). Every relation is checked in exact arithmetic before it is written; docs/notes/subgroups.md tells
why the enumeration is complete.

Hermann's theorem: a maximal subgroup keeps all translations (t) or the point group (k).
t: the maximal subgroups of the point group.
k: the lattices L of index p, p^2 or p^3 that the point group keeps and that have none of its lattices between
themselves and T, and for each L every choice of translation parts that closes modulo L.

Run: python scripts/make_subgroup_graph.py            (writes the table)
     python scripts/make_subgroup_graph.py --check    (compares it with other sources, writes nothing)
"""

import argparse
import importlib.util
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import moyopy
import numpy as np
import spglib
from numpy.typing import NDArray

from powderlens.core.files import atomic_write

TARGET = Path(__file__).resolve().parents[1] / "src/powderlens/symmetry/data/subgroups.json"
SETTING = moyopy.Setting.standard()
PRIMES = (2, 3, 5)
"""Beyond 5 a maximal k-subgroup is isomorphic, or of the enantiomorphic type that a smaller prime gives too."""
STEPS = 24
"""Translation parts of all 230 groups are whole multiples of 1/24 of the primitive vectors."""

Ints = NDArray[np.int64]
Relation = tuple[int, str, int]
"""Type of the subgroup, "t" or "k", index."""


@dataclass(frozen=True)
class Group:
    """A space group in a primitive basis.

    `basis` (3, 3): columns are the primitive vectors in the conventional cell. `rotations` (n, 3, 3); `shifts`
    (n, 3) in units of 1/STEPS.
    """

    number: int
    basis: NDArray[np.float64]
    rotations: Ints
    shifts: Ints

    def find(self) -> dict[bytes, int]:
        """Index of an operator by its rotation part."""
        return {rotation.tobytes(): i for i, rotation in enumerate(self.rotations)}


@dataclass(frozen=True)
class Candidate:
    """A subgroup by its operators.

    `chosen` (m,): which operators of the parent; `lattice` (3, 3): columns are its primitive vectors in the parent's
    primitive basis; `extra` (m, 3): whole translations added to those of the parent's operators.
    """

    kind: str
    chosen: Ints
    lattice: Ints
    extra: Ints

    def operators(self, parent: Group) -> tuple[Ints, NDArray[np.float64]]:
        """(m, 3, 3) rotations and (m, 3) shifts in [0, 1), in the basis of its own lattice."""
        inverse = np.linalg.inv(self.lattice)
        rotations = np.rint(inverse @ parent.rotations[self.chosen] @ self.lattice).astype(np.int64)
        return rotations, (parent.shifts[self.chosen] / STEPS + self.extra) @ inverse.T % 1.0

    def index(self, parent: Group) -> int:
        return len(parent.rotations) // len(self.chosen) * round(float(np.linalg.det(self.lattice)))


@dataclass(frozen=True)
class Subgroup:
    """A subgroup found: its type, and the transformation from the group's conventional cell to its own."""

    number: int
    kind: str
    index: int
    matrix: tuple[Fraction, ...]
    origin: tuple[Fraction, ...]

    @property
    def relation(self) -> Relation:
        return self.number, self.kind, self.index

    def plainness(self) -> tuple[Any, ...]:
        """Sorts examples: the lowest index, then few and small numbers, then axes that keep their names."""
        size = sum(abs(x) for x in self.matrix) + sum(x != 0 for x in self.matrix)
        diagonal = sum(x > 0 for x in self.matrix[::4])
        negative = sum(x < 0 for x in self.matrix)
        origin = sum(x != 0 for x in self.origin), sum(abs(x) for x in self.origin)
        return self.index, size - diagonal + negative, *origin, self.matrix, self.origin


def centring(number: int) -> NDArray[np.float64]:
    """(3, 3): columns are the vectors of the conventional cell in the primitive basis."""
    hall = moyopy.HallSymbolEntry(hall_numbers()[number])
    return np.array(hall.centering.linear, dtype=float)


@lru_cache(maxsize=1)
def hall_numbers() -> dict[int, int]:
    """Hall number of the standard setting of each group."""
    found = {}
    for number in range(1, 231):
        operators = moyopy.operations_from_number(number, setting=SETTING, primitive=True)
        found[number] = moyopy.SpaceGroup(operators.rotations, operators.translations, setting=SETTING).hall_number
    return found


@lru_cache(maxsize=230)
def group(number: int) -> Group:
    operators = moyopy.operations_from_number(number, setting=SETTING, primitive=True)
    shifts = np.array(operators.translations) * STEPS
    assert np.abs(shifts - np.rint(shifts)).max() < 1e-9
    return Group(
        number=number,
        basis=np.linalg.inv(centring(number)),
        rotations=np.array(operators.rotations, dtype=np.int64),
        shifts=np.rint(shifts).astype(np.int64) % STEPS,
    )


# The type of a subgroup, and the proof that it is one


def metric_basis(rotations: Ints) -> NDArray[np.float64]:
    """(3, 3): rows are primitive vectors (A) of a general lattice that the rotations keep; right-handed."""
    general = np.array([[5.0, 0.31, -0.17], [0.31, 6.1, 0.43], [-0.17, 0.43, 7.3]])
    metric = np.mean([rotation.T @ general @ rotation for rotation in rotations], axis=0)
    return np.linalg.cholesky(metric)


def exact(values: NDArray[np.float64]) -> tuple[Fraction, ...]:
    """The fractions that floats stand for; denominators of transformations are below 150."""
    out = tuple(Fraction(float(x)).limit_denominator(150) for x in values.ravel())
    assert np.abs(np.array([float(x) for x in out]) - values.ravel()).max() < 1e-7
    return out


def identify(parent: Group, candidate: Candidate) -> Subgroup:
    """Type and transformation of a candidate, by moyo; `proven` must confirm it."""
    rotations, shifts = candidate.operators(parent)
    basis = metric_basis(rotations).tolist()
    found = moyopy.SpaceGroup(rotations.tolist(), shifts.tolist(), basis=basis, setting=SETTING)
    to_parent = parent.basis @ candidate.lattice
    matrix = exact(to_parent @ np.array(found.linear) @ centring(found.number))
    origin = exact(to_parent @ np.array(found.origin_shift))
    index = candidate.index(parent)
    return Subgroup(found.number, candidate.kind, index, matrix, tuple(x % 1 for x in origin))


@lru_cache(maxsize=230)
def conventional(number: int) -> dict[tuple[int, ...], set[tuple[Fraction, ...]]]:
    """Translation parts in [0, 1) of each rotation part, conventional cell."""
    operators = moyopy.operations_from_number(number, setting=SETTING, primitive=False)
    out: dict[tuple[int, ...], set[tuple[Fraction, ...]]] = {}
    for rotation, shift in zip(operators.rotations, operators.translations, strict=True):
        whole = [Fraction(round(x * STEPS), STEPS) % 1 for x in shift]
        out.setdefault(tuple(np.array(rotation).ravel().tolist()), set()).add(tuple(whole))
    return out


def proven(parent: int, sub: Subgroup) -> bool:
    """Whether each operator of the subgroup's type, transformed, is one of the parent's, and the index is right."""
    ours, theirs = conventional(parent), conventional(sub.number)
    matrix = np.array(sub.matrix, dtype=object).reshape(3, 3)
    origin = np.array(sub.origin, dtype=object)
    determinant, inverse = determinant_and_inverse(matrix)
    operators = [(np.array(w, dtype=object).reshape(3, 3), np.array(t)) for w, ts in theirs.items() for t in ts]
    one = np.array([[Fraction(i == j) for j in range(3)] for i in range(3)])
    operators += [(one, one[axis]) for axis in range(3)]
    for rotation, shift in operators:
        turned = matrix @ rotation @ inverse
        moved = matrix @ shift + origin - turned @ origin
        if tuple(x % 1 for x in moved) not in ours.get(tuple(turned.ravel().tolist()), ()):
            return False
    size = [len(table) * len(next(iter(table.values()))) for table in (ours, theirs)]
    lattice = determinant * len(next(iter(ours.values()))) / len(next(iter(theirs.values())))
    kept = lattice == 1 if sub.kind == "t" else len(ours) == len(theirs)
    return bool(kept) and determinant > 0 and sub.index == Fraction(size[0], size[1]) * determinant


def determinant_and_inverse(matrix: NDArray[Any]) -> tuple[Fraction, NDArray[Any]]:
    """Exact ones of a (3, 3) matrix; the adjugate where there is no inverse."""
    a, b, c = matrix
    rows = [
        np.array([y[1] * z[2] - y[2] * z[1], y[2] * z[0] - y[0] * z[2], y[0] * z[1] - y[1] * z[0]])
        for y, z in ((b, c), (c, a), (a, b))
    ]
    determinant = Fraction(a @ rows[0])
    return determinant, np.stack(rows, axis=1) / (determinant or 1)


# t: maximal subgroups of the point group


def multiplication_table(parent: Group) -> Ints:
    """(n, n): index of the product of two operators."""
    find = parent.find()
    products = parent.rotations[:, None] @ parent.rotations[None]
    return np.array([[find[product.tobytes()] for product in row] for row in products])


def generated(table: Ints, elements: frozenset[int]) -> frozenset[int]:
    """The subgroup that some elements generate."""
    members = list(elements)
    while True:
        grown = np.union1d(members, table[np.ix_(members, members)])
        if len(grown) == len(members):
            return frozenset(grown.tolist())
        members = grown.tolist()


def maximal_point_subgroups(table: Ints) -> list[list[int]]:
    """Index sets of the maximal proper subgroups of a finite group; all subgroups are joins of cyclic ones."""
    cyclic = {generated(table, frozenset([i])) for i in range(len(table))}
    subgroups = set(cyclic)
    new = set(cyclic)
    while new:
        new = {generated(table, one | other) for one in new for other in cyclic if not other <= one} - subgroups
        subgroups |= new
    proper = [s for s in subgroups if len(s) < len(table)]
    return sorted(sorted(s) for s in proper if not any(s < other for other in proper))


def t_subgroups(parent: Group) -> Iterator[Candidate]:
    """Maximal t-subgroups, conjugate ones too."""
    for members in maximal_point_subgroups(multiplication_table(parent)):
        none = np.zeros((len(members), 3), dtype=np.int64)
        yield Candidate("t", np.array(members), np.eye(3, dtype=np.int64), none)


# k: lattices and translation parts


def echelon(rows: Ints, p: int) -> Ints:
    """Reduced row echelon form modulo a prime, rows of zeros left out."""
    out, rank = rows.copy() % p, 0
    for column in range(out.shape[1]):
        pivots = np.nonzero(out[rank:, column])[0]
        if not len(pivots):
            continue
        out[[rank, rank + pivots[0]]] = out[[rank + pivots[0], rank]]
        out[rank] = out[rank] * pow(int(out[rank, column]), -1, p) % p
        others = np.arange(len(out)) != rank
        out[others] = (out[others] - np.outer(out[others, column], out[rank])) % p
        rank += 1
        if rank == len(out):
            break
    return out[:rank]


def minimal_row_spaces(rotations: Ints, p: int) -> list[Ints]:
    """The subspaces of rows modulo p that the rotations keep and that hold no smaller such; each as its echelon form.

    The lattice of a subspace A is {x : A x = 0 modulo p}; a minimal subspace means no invariant lattice between.
    """
    spaces: dict[bytes, Ints] = {}
    for row in itertools.product(range(p), repeat=3):
        if next((x for x in row if x), 0) == 1:
            space = echelon(np.array(row) @ rotations, p)
            spaces[space.tobytes()] = space
    found = sorted(spaces.values(), key=lambda space: (len(space), space.tolist()))
    return [
        space
        for space in found
        if not any(len(echelon(np.vstack([space, small]), p)) == len(space) > len(small) for small in found)
    ]


def sublattice(space: Ints, p: int) -> Ints:
    """(3, 3): columns are a right-handed basis of {x : A x = 0 modulo p}, A in echelon form."""
    pivots = [int(np.nonzero(row)[0][0]) for row in space]
    out = np.eye(3, dtype=np.int64)
    for row, pivot in zip(space, pivots, strict=True):
        out[pivot] = -row
        out[pivot, pivots] = 0
        out[pivot, pivot] = p
    return out


def solutions(equations: Ints, trivial: Ints, p: int) -> Iterator[Ints]:
    """Solutions modulo p of equations [A | b]: A x + b = 0, one of each class modulo the rows of `trivial`."""
    unknowns = equations.shape[1] - 1
    reduced = echelon(equations, p)
    pivots = [int(np.nonzero(row)[0][0]) for row in reduced]
    if unknowns in pivots:
        return
    particular = np.zeros(unknowns, dtype=np.int64)
    particular[pivots] = -reduced[:, -1] % p
    null = []
    for free in sorted(set(range(unknowns)) - set(pivots)):
        vector = np.zeros(unknowns, dtype=np.int64)
        vector[free] = 1
        vector[pivots] = -reduced[:, free] % p
        null.append(vector)
    span = echelon(trivial, p) if len(trivial) else trivial
    beyond: list[Ints] = []
    for vector in null:
        grown = echelon(np.vstack([span, vector]), p)
        if len(grown) > len(span):
            span = grown
            beyond.append(vector)
    for factors in itertools.product(range(p), repeat=len(beyond)):
        yield (particular + sum((f * v for f, v in zip(factors, beyond, strict=True)), np.zeros_like(particular))) % p


def k_subgroups(parent: Group, p: int) -> Iterator[Candidate]:
    """Maximal k-subgroups whose index is a power of p; those that a translation of the parent makes equal once."""
    table, n = multiplication_table(parent), len(parent.rotations)
    whole = parent.shifts[:, None] + np.einsum("gij,hj->ghi", parent.rotations, parent.shifts)
    carried, rest = np.divmod(whole - parent.shifts[table], STEPS)
    assert not rest.any()
    identity = next(i for i in range(n) if (table[i] == np.arange(n)).all())
    generators = generating_set(table, identity)
    for space in minimal_row_spaces(parent.rotations, p):
        rank, lattice = len(space), sublattice(space, p)
        pivots = [int(np.nonzero(row)[0][0]) for row in space]
        acting = (space @ parent.rotations)[:, :, pivots] % p
        carry = carried @ space.T % p
        # The part u_g in T/L that is added to operator g, as a linear form in those of the generators and 1.
        width = rank * len(generators) + 1
        form = np.zeros((n, rank, width), dtype=np.int64)
        done = {identity}
        for place, generator in enumerate(generators):
            form[generator, :, place * rank : (place + 1) * rank] = np.eye(rank)
            done.add(generator)
        starts = {g: form[g].copy() for g in generators}
        equations = []
        queue = [identity, *generators]
        for g in queue:
            for s in generators:
                product, value = int(table[g, s]), form[g] + acting[g] @ starts[s]
                value[:, -1] += carry[g, s]
                if product in done:
                    equations.append((value - form[product]) % p)
                else:
                    form[product] = value % p
                    done.add(product)
                    queue.append(product)
        assert len(done) == n
        trivial = [
            np.concatenate([(np.eye(rank, dtype=np.int64) - acting[s])[:, i] for s in generators] or [[]])
            for i in range(rank)
        ]
        system = np.vstack(equations) if equations else np.zeros((1, width), dtype=np.int64)
        for solution in solutions(system, np.array(trivial, dtype=np.int64).reshape(rank, width - 1), p):
            extra = np.zeros((n, 3), dtype=np.int64)
            extra[:, pivots] = (form @ np.append(solution, 1)) % p
            yield Candidate("k", np.arange(n), lattice, extra)


def generating_set(table: Ints, identity: int) -> list[int]:
    """A few elements that generate the group; none for the trivial group."""
    chosen: list[int] = []
    members = frozenset([identity])
    while len(members) < len(table):
        sizes = {i: len(generated(table, members | {i})) for i in range(len(table)) if i not in members}
        best = max(sizes, key=lambda i: (sizes[i], -i))
        chosen.append(best)
        members = generated(table, members | {best})
    return chosen


# The table


def candidates(parent: Group, primes: tuple[int, ...]) -> Iterator[Candidate]:
    """Every maximal subgroup, isomorphic ones too."""
    yield from t_subgroups(parent)
    for p in primes:
        yield from k_subgroups(parent, p)


def other_axes(sub: Subgroup) -> Iterator[Subgroup]:
    """The same subgroup with its cell turned by its own proper operators; monoclinic ones also with other a and c.

    Of the latter only those that `proven` confirms are in the standard setting.
    """
    matrix = np.array(sub.matrix, dtype=object).reshape(3, 3)
    operators = conventional(sub.number)
    turns = [(np.array(w, dtype=object).reshape(3, 3), np.array(min(shifts))) for w, shifts in operators.items()]
    if 3 <= sub.number <= 15:
        none = np.array([Fraction(0)] * 3)
        for a, c, d, f in itertools.product(range(-2, 3), repeat=4):
            turns.append((np.array([[a, 0, c], [0, a * f - c * d, 0], [d, 0, f]], dtype=object), none))
    for turn, shift in turns:
        if determinant_and_inverse(turn)[0] == 1:
            origin = matrix @ shift + np.array(sub.origin, dtype=object)
            turned = tuple(Fraction(x) for x in (matrix @ turn).ravel())
            yield replace(sub, matrix=turned, origin=tuple(x % 1 for x in origin))


def graph() -> tuple[dict[int, set[Relation]], list[tuple[int, Subgroup]]]:
    """All relations to other types, by group; and the plainest example of each pair, of the lowest index."""
    relations: dict[int, set[Relation]] = {}
    examples = []
    for number in range(1, 231):
        parent = group(number)
        subgroups = [identify(parent, candidate) for candidate in candidates(parent, PRIMES)]
        found = [sub for sub in subgroups if sub.number != number]
        assert all(proven(number, sub) for sub in found), number
        relations[number] = {sub.relation for sub in found}
        for other in sorted({sub.number for sub in found}):
            plainest = min((sub for sub in found if sub.number == other), key=Subgroup.plainness)
            turned = sorted(other_axes(plainest), key=Subgroup.plainness)
            examples.append((number, next(example for example in turned if proven(number, example))))
    return relations, examples


def write(examples: list[tuple[int, Subgroup]]) -> None:
    """One edge a line."""
    head = {
        "what": "maximal subgroups of another type: group, subgroup, kind, lowest index, P by rows and p of an example",
        "source": f"derived from the operators of moyopy {moyopy.__version__} (MIT); docs/notes/subgroups.md",
        "generated_by": "scripts/make_subgroup_graph.py; do not edit",
    }
    rows = []
    for number, sub in examples:
        matrix, origin = " ".join(map(str, sub.matrix)), " ".join(map(str, sub.origin))
        rows.append("  " + json.dumps([number, sub.number, sub.kind, sub.index, matrix, origin]))
    text = json.dumps(head, indent=1)[:-2] + ',\n "edges": [\n' + ",\n".join(rows) + "\n ]\n}\n"
    TARGET.parent.mkdir(exist_ok=True)
    with atomic_write(TARGET) as aside:
        aside.write_text(text, encoding="utf-8")


# Other sources


def spglib_number(parent: Group, candidate: Candidate) -> int:
    """Type of a candidate by spglib."""
    rotations, shifts = candidate.operators(parent)
    lattice = metric_basis(rotations)
    return int(spglib.get_spacegroup_type_from_symmetry(rotations, shifts, lattice=lattice, symprec=1e-4).number)


def nothing_between(rotations: Ints, lattice: Ints) -> bool:
    """Whether the rotations keep a lattice, and none that lies strictly between it and the whole one."""
    inverse = np.linalg.inv(lattice)

    def inside(vectors: NDArray[Any]) -> bool:
        return bool(np.abs(vectors @ inverse.T - np.rint(vectors @ inverse.T)).max() < 1e-9)

    if not all(inside(lattice.T @ rotation.T) for rotation in rotations):
        return False
    index = round(float(np.linalg.det(lattice)))
    p = next(q for q in (2, 3, 5) if index % q == 0)
    if not inside(p * np.eye(3)):
        return False
    for vector in itertools.product(range(p), repeat=3):
        if not inside(np.array([vector])):
            orbit = np.vstack([rotations @ np.array(vector), lattice.T])
            rows = itertools.combinations(np.unique(orbit, axis=0), 3)
            if np.gcd.reduce([round(float(np.linalg.det(np.array(three)))) for three in rows]) != 1:
                return False
    return True


def every_lattice(index: int) -> Iterator[Ints]:
    """Every sublattice of an index in Hermite normal form, columns its basis."""
    for a, b in itertools.product(range(1, index + 1), repeat=2):
        if index % (a * b) == 0:
            c = index // (a * b)
            for d, e, f in itertools.product(range(b), range(c), range(c)):
                yield np.array([[a, 0, 0], [d, b, 0], [e, f, c]])


def moyo_relations(number: int) -> set[Relation]:
    """Relations to other types that moyo's own enumeration of subgroups finds, for all lattices of six indices."""
    operators = moyopy.operations_from_number(number, setting=SETTING, primitive=True)
    given = operators.rotations, operators.translations
    out = set()

    def add(found: moyopy.Operations, kind: str, index: int) -> None:
        basis = metric_basis(np.array(found.rotations)).tolist()
        out.add((moyopy.SpaceGroup(found.rotations, found.translations, basis=basis).number, kind, index))

    for family in moyopy.enumerate_translationengleiche_subgroups(*given):
        if family.representative.depth == 1:
            add(family.representative.operations, "t", family.representative.translationengleiche_index)
    for index in (2, 3, 4, 5, 8, 9):
        for lattice in every_lattice(index):
            if nothing_between(np.array(given[0]), lattice):
                for family in moyopy.enumerate_klassengleiche_subgroups(*given, lattice.tolist()):
                    add(family.representative.operations, "k", index)
    return {relation for relation in out if relation[0] != number}


def pymatgen_pairs() -> set[tuple[int, int]]:
    """Maximal subgroups of other types in pymatgen's table."""
    import pymatgen.symmetry

    table = json.loads((Path(pymatgen.symmetry.__path__[0]) / "symm_data.json").read_text(encoding="utf-8"))
    return {(int(n), sub) for n, subs in table["maximal_subgroups"].items() for sub in subs if sub != int(n)}


def pyxtal_relations() -> set[tuple[int, Relation]] | None:
    """Maximal subgroups of other types in pyxtal's tables, which hold those of the Bilbao Crystallographic Server."""
    package = importlib.util.find_spec("pyxtal")
    if package is None or package.origin is None:
        return None
    out = set()
    for kind in "tk":
        table = json.loads((Path(package.origin).parent / f"database/{kind}_subgroup.json").read_text(encoding="utf-8"))
        for number, row in table.items():
            for sub, index in zip(row["subgroup"], row["index"], strict=True):
                out.add((int(number), (sub, kind, index)))
    return {(number, relation) for number, relation in out if number != relation[0]}


def check() -> None:
    """Print how the table compares with other sources."""
    relations, _ = graph()
    ours = {(number, relation) for number, found in relations.items() for relation in found}
    pairs = {(number, sub) for number, (sub, _, _) in ours}
    rows = json.loads(TARGET.read_text(encoding="utf-8"))["edges"]
    print(f"{len(pairs)} pairs; the table on disk holds the same: {pairs == {(row[0], row[1]) for row in rows}}")
    print("relations by kind and index:", dict(sorted(Counter(relation[1:] for _, relation in ours).items())))

    named = [0, 0]
    for number in range(1, 231):
        for candidate in candidates(group(number), PRIMES):
            named[0] += 1
            named[1] += spglib_number(group(number), candidate) == identify(group(number), candidate).number
    print(f"spglib and moyo agree on the type of {named[1]} of {named[0]} subgroups")

    pymatgen = pymatgen_pairs()
    print(f"pymatgen: {len(pymatgen)} pairs; ours only {sorted(pairs - pymatgen)}; its own {sorted(pymatgen - pairs)}")
    pyxtal = pyxtal_relations()
    if pyxtal is None:
        print("pyxtal is not installed: not compared")
    else:
        count = len({(number, relation[0]) for number, relation in pyxtal})
        print(f"pyxtal: {count} pairs; ours only {sorted(ours - pyxtal)}; its own {sorted(pyxtal - ours)}")
    for p in (7, 11, 13):
        found = [(n, identify(group(n), c)) for n in range(1, 231) for c in k_subgroups(group(n), p)]
        other = {(n, sub.number) for n, sub in found if sub.number != n}
        print(f"p = {p}: {len(found)} k-subgroups; other types {sorted(other)}; new pairs {sorted(other - pairs)}")
    wrong = {n: moyo_relations(n) ^ relations[n] for n in range(1, 231)}
    print("moyo's own enumeration differs in:", {n: sorted(rows) for n, rows in wrong.items() if rows}, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Derive the graph of maximal subgroups.")
    parser.add_argument("--check", action="store_true", help="compare with other sources (four minutes), write nothing")
    if parser.parse_args().check:
        check()
    else:
        write(graph()[1])


if __name__ == "__main__":
    main()
