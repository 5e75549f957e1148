"""Write the tables of `powderlens.symmetry`: settings, Wyckoff positions, normalisers, conditions, extinction classes.

Sources: operators of the 530 settings from moyo (Apache-2.0 or MIT); transformations to the standard setting from the
space-group table of gemmi (MPL-2.0), each proven here. Everything else is derived from the operators: Wyckoff
positions are the fixed spaces of site-symmetry groups, normalisers and extinction classes are searched for. From moyo
come the letters, the oriented site-symmetry symbols and the choice of the first site, all as in International Tables
for Crystallography A; reflection conditions are worded as there.

Run: python scripts/make_symmetry_tables.py            (a quarter of a minute; the same bytes each time)
     python scripts/make_symmetry_tables.py --check    (writes nothing; fails where a file would change)
"""

import argparse
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import gemmi
import moyopy
import numpy as np

from powderlens.core.files import atomic_write
from powderlens.symmetry.conditions import is_absent
from powderlens.symmetry.extinction import LAUE_CLASSES, laue_class
from powderlens.symmetry.groups import crystal_system, symbol
from powderlens.symmetry.settings import operators, settings
from powderlens.symmetry.wyckoff import parse_coordinates

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "src/powderlens/symmetry/data"
GRAIN = 24  # shifts are kept as integers, in 1/24 of a cell vector
EYE = np.eye(3, dtype=np.int64)

Flat = tuple[int, ...]  # a point, line, plane or the space modulo the lattice: 9 entries of its linear part, 3 of shift


# ---- settings -------------------------------------------------------------------------------------------------------


def setting_rows() -> list[list[Any]]:
    """Group, Hall symbol, Hermann-Mauguin symbol, choice and transformation to the standard setting, 530 times."""
    by_hall: dict[str, gemmi.SpaceGroup] = {}
    for group in gemmi.spacegroup_table():
        by_hall.setdefault(group.hall, group)
    rows = []
    for hall_number in range(1, 531):
        entry = moyopy.HallSymbolEntry(hall_number)
        hall = entry.hall_symbol.replace("=", '"')
        group = by_hall[hall]
        to_standard = group.basisop.inverse()
        found = moyopy.operations_from_number(entry.number, setting=moyopy.Setting.hall_number(hall_number))
        assert becomes_standard(entry.number, np.array(found.rotations), np.array(found.translations), to_standard)
        rows.append([entry.number, hall, group.hm, entry.setting, to_standard.triplet()])
    return rows


def becomes_standard(number: int, rotations: np.ndarray, translations: np.ndarray, change: gemmi.Op) -> bool:
    """Whether every operator, written in the other basis, is one of the group's standard setting."""
    linear, shift = np.array(change.rot) / change.DEN, np.array(change.tran) / change.DEN
    turned = linear @ rotations @ np.linalg.inv(linear)
    moved = translations @ linear.T + shift - turned @ shift
    wanted = {(r.tobytes(), tuple(t)) for r, t in zip(*in_grains(number), strict=True)}
    there = zip(np.round(turned).astype(np.int64), np.round(moved * GRAIN).astype(np.int64) % GRAIN, strict=True)
    return all((r.tobytes(), tuple(t)) in wanted for r, t in there)


def in_grains(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Operators of the standard setting, translations as integers."""
    rotations, translations = operators(number)
    return rotations, np.round(translations * GRAIN).astype(np.int64)


# ---- Wyckoff positions ----------------------------------------------------------------------------------------------


@cache
def _pivots(linear: bytes) -> np.ndarray:
    """The integer matrix of the same columns' span whose pivot coordinates are its parameters, x before y before z."""
    span = np.frombuffer(linear, dtype=np.int64).reshape(3, 3)
    basis, sizes, _ = np.linalg.svd(span.astype(float))
    rank = int((sizes > 1e-9).sum())
    for pivots in map(list, itertools.combinations(range(3), rank)):
        square = basis[pivots, :rank]
        if rank and abs(np.linalg.det(square)) < 1e-9:
            continue
        columns = basis[:, :rank] @ np.linalg.inv(square) if rank else np.zeros((3, 0))
        if np.allclose(columns, np.round(columns)):
            found = np.zeros((3, 3), dtype=np.int64)
            found[:, pivots] = np.round(columns).astype(np.int64)
            return found
    raise AssertionError("no integer parametrisation")


def flat(linear: np.ndarray, point: np.ndarray) -> Flat:
    """The one name of the flat through a point (in grains) along the columns of an integer matrix."""
    pivoted = _pivots(np.ascontiguousarray(linear, dtype=np.int64).tobytes())
    return (*pivoted.ravel().tolist(), *((point - pivoted @ point) % GRAIN).tolist())


def parts(name: Flat) -> tuple[np.ndarray, np.ndarray]:
    """Linear part and shift (in grains) of a flat."""
    return np.array(name[:9]).reshape(3, 3), np.array(name[9:])


def grid_points(number: int) -> np.ndarray:
    """Points (in grains) of which at least one lies on every flat: 1/12 on hexagonal axes, 1/8 on all others."""
    step = 2 if 143 <= number <= 194 else 3
    return np.stack(np.meshgrid(*[np.arange(0, GRAIN, step)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


def flats(number: int) -> dict[Flat, int]:
    """Every flat that some site-symmetry group leaves fixed, with the order of that group."""
    rotations, translations = in_grains(number)
    points = grid_points(number)
    fixes = ((points @ (rotations - EYE).transpose(0, 2, 1) + translations[:, None, :]) % GRAIN == 0).all(axis=-1).T
    directions = {np.zeros((3, 3), dtype=np.int64).tobytes()}
    for rotation in rotations:
        powers = [EYE]
        while not (powers[-1] @ rotation == EYE).all():
            powers.append(powers[-1] @ rotation)
        directions.add(_pivots(np.sum(powers, axis=0).tobytes()).tobytes())
    found: dict[Flat, int] = {}
    for direction in directions:
        along = np.frombuffer(direction, dtype=np.int64).reshape(3, 3)
        keeps = (rotations @ along == along).all(axis=(1, 2))
        packed = np.packbits(fixes[:, keeps], axis=1)
        _, first, member = np.unique(packed, axis=0, return_index=True, return_inverse=True)
        for group, example in enumerate(first):
            stabiliser = rotations[keeps][fixes[example, keeps]]
            pivoted = _pivots(stabiliser.sum(axis=0).tobytes())
            there = points[member.ravel() == group]
            for shift in np.unique((there - there @ pivoted.T) % GRAIN, axis=0).tolist():
                found[(*pivoted.ravel().tolist(), *shift)] = len(stabiliser)
    return found


def orbits(number: int) -> list[tuple[set[Flat], int]]:
    """The flats in sets of equivalent ones, each a Wyckoff position, with its multiplicity."""
    left = flats(number)
    rotations, translations = in_grains(number)
    found = []
    while left:
        start = min(left)
        linear, shift = parts(start)
        orbit = {flat(r @ linear, r @ shift + t) for r, t in zip(rotations, translations, strict=True)}
        orders = {left.pop(name) for name in orbit}
        assert len(orders) == 1
        found.append((orbit, len(rotations) // orders.pop()))
    return found


def metric_lattice(number: int) -> np.ndarray:
    """A large cell with the shape of the group's crystal system and nothing more."""
    system = crystal_system(number)
    a, b, c = 50.0, 61.7, 73.3
    if system in ("trigonal", "hexagonal"):
        return np.array([[a, 0, 0], [-a / 2, a * np.sqrt(0.75), 0], [0, 0, c]])
    lattice = np.diag({"cubic": (a, a, a), "tetragonal": (a, a, c)}.get(system, (a, b, c)))
    if system in ("monoclinic", "triclinic"):
        lattice[2, 0] = -13.1
    if system == "triclinic":
        lattice[1, 0], lattice[2, 1] = -9.3, -11.0
    return lattice


def moyo_positions(number: int, found: list[tuple[set[Flat], int]]) -> dict[str, Any]:
    """What moyo says of atoms on every position at once, by letter."""
    generator = np.random.default_rng(number)
    rotations, translations = operators(number)
    sites: list[np.ndarray] = []
    kinds: list[int] = []
    general = next(orbit for orbit, multiplicity in found if multiplicity == len(rotations))
    for kind, orbit in enumerate([orbit for orbit, _ in found] + [general] * 3, start=1):
        linear, shift = parts(min(orbit))
        images = (rotations @ (linear @ generator.random(3) + shift / GRAIN) + translations) % 1.0
        kept = np.unique(np.round(images * 1e7).astype(np.int64) % 10**7, axis=0, return_index=True)[1]
        sites.extend(images[kept])
        kinds.extend([kind] * len(kept))
    cell = moyopy.Cell(metric_lattice(number).tolist(), np.array(sites).tolist(), kinds)
    dataset = moyopy.MoyoDataset(cell, symprec=1e-4, setting=moyopy.Setting.standard())
    assert dataset.number == number
    return {position.letter: position for position in dataset.normalizer_wyckoff_positions().wyckoffs}


def wyckoff_rows(number: int, found: list[tuple[set[Flat], int]]) -> tuple[list[list[str]], dict[Flat, str]]:
    """Letter, site symmetry and first site of every position, and the letter of every flat."""
    orbit_of = {name: index for index, (orbit, _) in enumerate(found) for name in orbit}
    rows, letter_of = [], {}
    named = moyo_positions(number, found)
    for letter in sorted(named, key=str.swapcase):
        linear, shift = parse_coordinates(named[letter].coordinates)
        orbit, multiplicity = found[orbit_of[flat(linear, np.round(shift * GRAIN).astype(np.int64))]]
        assert multiplicity == named[letter].multiplicity
        letter_of.update(dict.fromkeys(orbit, letter))
        rows.append([letter, named[letter].site_symmetry, named[letter].coordinates])
    assert len(letter_of) == len(orbit_of)
    return rows, letter_of


# ---- normalisers ----------------------------------------------------------------------------------------------------


def axis_changes(number: int) -> list[np.ndarray]:
    """Integer matrices among which are representatives of every linear part of the affine normaliser.

    Those of a monoclinic or triclinic group are infinitely many; the small ones generate what happens to letters.
    """
    system = crystal_system(number)
    if system == "triclinic":
        small = np.array(list(itertools.product((0, 1), repeat=9))).reshape(-1, 3, 3)
        return [m for m in small if abs(round(np.linalg.det(m))) == 1]
    if system == "monoclinic":
        plane = [m for m in itertools.product(range(-2, 3), repeat=4) if abs(m[0] * m[3] - m[1] * m[2]) == 1]
        return [np.array([[p, 0, q], [0, 1, 0], [r, 0, s]]) for p, q, r, s in plane]
    if system in ("trigonal", "hexagonal"):
        return list({r.tobytes(): r for r in operators(191)[0]}.values())
    signed = [EYE[list(order)] * signs for order in itertools.permutations(range(3)) for signs in SIGNS]
    return [np.array(m) for m in signed]


SIGNS = [np.array(s)[:, None] for s in itertools.product((1, -1), repeat=3)]


def origin_shifts(number: int, change: np.ndarray) -> np.ndarray:
    """The shifts (in grains, on the grid) that make a change of axes map the group onto itself; none: it cannot."""
    rotations, translations = in_grains(number)
    of_rotation = defaultdict(list)
    for rotation, translation in zip(rotations, translations, strict=True):
        of_rotation[rotation.tobytes()].append(translation)
    inverse = np.round(np.linalg.inv(change)).astype(np.int64)
    lattice = np.zeros((GRAIN,) * 3, dtype=bool)
    lattice[tuple(np.array(of_rotation[EYE.tobytes()]).T)] = True
    points = grid_points(number)
    for key, some in of_rotation.items():
        turned = np.ascontiguousarray(change @ np.frombuffer(key, dtype=np.int64).reshape(3, 3) @ inverse)
        if turned.tobytes() not in of_rotation:
            return points[:0]
        offset = change @ some[0] - of_rotation[turned.tobytes()][0]
        points = points[lattice[tuple(((points @ (EYE - turned).T + offset) % GRAIN).T)]]
    centring = np.array(of_rotation[EYE.tobytes()]) @ change.T % GRAIN
    return points if lattice[tuple(centring.T)].all() else points[:0]


def permutation_generators(number: int, letter_of: dict[Flat, str]) -> list[str]:
    """A few permutations of the letters that generate all which the affine normaliser induces."""
    letters = sorted(set(letter_of.values()), key=str.swapcase)
    firsts = {letter: name for name, letter in sorted(letter_of.items(), reverse=True)}
    if len(letters) == 1:
        return []

    def images(change: np.ndarray, shift: np.ndarray) -> str:
        there = [parts(firsts[letter]) for letter in letters]
        return "".join(letter_of[flat(change @ linear, change @ point + shift)] for linear, point in there)

    induced = {images(EYE, shift) for shift in origin_shifts(number, EYE)}
    for change in axis_changes(number):
        shifts = origin_shifts(number, change)
        if len(shifts):
            induced.add(images(change, shifts[0]))
    generators: list[str] = []
    closed = {"".join(letters)}
    for candidate in sorted(induced, key=str.swapcase):
        if candidate not in closed:
            generators.append(candidate)
            closed = closure("".join(letters), generators)
    return generators


def closure(identity: str, generators: list[str]) -> set[str]:
    """All products of permutations, each written as the images of the letters of the identity."""
    maps = [str.maketrans(identity, generator) for generator in generators]
    found, new = {identity}, {identity}
    while new:
        new = {word.translate(table) for word in new for table in maps} - found
        found |= new
    return found


# ---- reflection conditions ------------------------------------------------------------------------------------------

# Each class of reflections as the integer matrix from (h, k, l), of which some are not used, to its indices.
CLASSES = {
    "hkl": EYE,
    "hkil": EYE,
    "0kl": np.diag([0, 1, 1]),
    "h0l": np.diag([1, 0, 1]),
    "hk0": np.diag([1, 1, 0]),
    "hki0": np.diag([1, 1, 0]),
    "hhl": np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1]]),
    "hh-2hl": np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1]]),
    "h-h0l": np.array([[1, 0, 0], [-1, 0, 0], [0, 0, 1]]),
    "h00": np.diag([1, 0, 0]),
    "0k0": np.diag([0, 1, 0]),
    "00l": np.diag([0, 0, 1]),
    "000l": np.diag([0, 0, 1]),
    "h-h0": np.array([[1, 0, 0], [-1, 0, 0], [0, 0, 0]]),
    "h-h00": np.array([[1, 0, 0], [-1, 0, 0], [0, 0, 0]]),
}
_MONOCLINIC = ("hkl", "h0l", "0kl", "hk0", "0k0", "h00", "00l")
_HEXAGONAL = ("hkil", "hki0", "hh-2hl", "h-h0l", "000l", "h-h00")
CLASSES_OF_SYSTEM = {
    "triclinic": ("hkl",),
    "monoclinic": _MONOCLINIC,
    "orthorhombic": ("hkl", "0kl", "h0l", "hk0", "h00", "0k0", "00l"),
    "tetragonal": ("hkl", "hk0", "0kl", "hhl", "00l", "h00", "h-h0"),
    "trigonal": _HEXAGONAL,
    "hexagonal": _HEXAGONAL,
    "cubic": ("hkl", "0kl", "hhl", "h00"),
}
RULES = (
    *(f"{index}={n}n" for n in (2, 3, 4, 6) for index in "hkl"),
    *("h+k=2n", "h+l=2n", "k+l=2n", "h+k+l=2n", "h+k,h+l,k+l=2n", "h,k=2n", "h,l=2n", "k,l=2n"),
    *("h+k=4n; h,k=2n", "h+l=4n; h,l=2n", "k+l=4n; k,l=2n", "2h+l=4n"),
    *("-h+k+l=3n", "-h+k=3n", "h+l=3n", "h+l=3n; l=2n"),
)


def obeys(rule: str, hkl: np.ndarray) -> np.ndarray:
    """Whether (n, 3) reflections obey a rule."""
    obeyed = np.ones(len(hkl), dtype=bool)
    for part in rule.split("; "):
        forms, multiple = part.rstrip("n").split("=")
        for form in forms.split(","):
            linear, _ = parse_coordinates(form.translate(str.maketrans("hkl", "xyz")) + ",0,0")
            obeyed &= hkl @ linear[0] % int(multiple) == 0
    return obeyed


@cache
def rule_of(number: int, name: str, of: str = "all") -> str:
    """The rule that says exactly which reflections of a class are present; "" where all are.

    Those operators decide that leave every reflection of the class as it is: `all` of them, or the `centring` alone,
    or mirror and glide planes with the centring (`glides`).
    """
    span = CLASSES[name]
    box = np.array(list(itertools.product(*[range(12) if uses else (0,) for uses in span.any(axis=0)])))
    hkl = box @ span.T
    rotations, translations = in_grains(number)
    keeping = (span.T @ rotations == span.T).all(axis=(1, 2))
    if of != "all":
        plane = (np.linalg.det(rotations) < 0) & (np.trace(rotations, axis1=1, axis2=2) == 1) & (of == "glides")
        keeping &= plane | (rotations == EYE).all(axis=(1, 2))
    present = (hkl @ translations[keeping].T % GRAIN == 0).all(axis=1)
    if present.all():
        return ""
    unused = {letter for letter, uses in zip("hkl", span.any(axis=0), strict=True) if not uses}
    return next(rule for rule in RULES if not unused & set(rule) and (obeys(rule, hkl) == present).all())


def condition_rows(number: int) -> list[list[str]]:
    """The classes of reflections that have a condition, with their rules."""
    ruled = ((name, rule_of(number, name)) for name in CLASSES_OF_SYSTEM[crystal_system(number)])
    return [[name, rule] for name, rule in ruled if rule]


# ---- extinction classes ---------------------------------------------------------------------------------------------

BOX = np.array(list(itertools.product(range(-6, 7), repeat=3)))

# For each system the directions of the Hermann-Mauguin symbol: the class of reflections of a mirror across it, the
# class along it.
DIRECTIONS = {
    "monoclinic": (("h0l", "0k0"),),
    "orthorhombic": (("0kl", "h00"), ("h0l", "0k0"), ("hk0", "00l")),
    "tetragonal": (("hk0", "00l"), ("0kl", "h00"), ("hhl", "h-h0")),
    "trigonal": (("hki0", "000l"), ("h-h0l", ""), ("hh-2hl", "")),
    "hexagonal": (("hki0", "000l"), ("h-h0l", ""), ("hh-2hl", "")),
    "cubic": (("0kl", "h00"), ("", ""), ("hhl", "")),
}


def signature(number: int) -> bytes:
    """The absent reflections in that choice of axes which makes the pattern smallest: equal for one class."""
    rotations = operators(number)[0]
    seen: set[bytes] = set()
    patterns = []
    for change in axis_changes(number):
        if change.tobytes() not in seen:
            seen.update((sign * change @ rotation).tobytes() for rotation in rotations for sign in (1, -1))
            patterns.append(np.packbits(is_absent(number, BOX @ change)).tobytes())
    return min(patterns)


def extinction_rows() -> list[list[Any]]:
    """Symbol and groups of every class."""
    groups = defaultdict(list)
    for number in range(1, 231):
        groups[laue_class(number), signature(number)].append(number)
    return [[extinction_symbol(members[0]), members] for members in sorted(groups.values())]


def extinction_symbol(number: int) -> str:
    """The symbol after International Tables A (2006), Table 3.1.4.1, in the standard setting of the group.

    Centring letter, then for each symmetry direction the glide plane across it that the absences show, the screw
    axis along it where its absences do not follow from glide planes and centring, both as "42/n", or "-". A plane's
    letter is that of the group's Hermann-Mauguin symbol.
    """
    system, named = crystal_system(number), gemmi.find_spacegroup_by_number(number).hm.split()
    if system == "triclinic":
        return f"{named[0]} -"
    directions = DIRECTIONS[system][: 2 if named[0] == "R" else 3]
    elements = named[2:3] if system == "monoclinic" else [*named[1:], "", ""]
    shown = [
        "/".join(filter(None, (screw(number, row), glide(number, zone, element)))) or "-"
        for (zone, row), element in zip(directions, elements, strict=False)
    ]
    return " ".join([named[0], "1", *shown, "1"] if system == "monoclinic" else [named[0], *shown])


def glide(number: int, zone: str, element: str) -> str:
    """Letter of the glide plane that a zone's absences show beyond those of the centring; "" where they show none."""
    if not zone or rule_of(number, zone) == rule_of(number, zone, "centring"):
        return ""
    letter = element.split("/")[-1]
    assert letter in ("a", "b", "c", "d", "n")
    double = "+" in rule_of(number, zone, "centring") and gemmi.find_spacegroup_by_number(number).hm[0] in "AC"
    return "e" if double else letter


def screw(number: int, row: str) -> str:
    """Symbol of the screw axis that a row's absences show beyond centring and glide planes; "" where they show none."""
    if not row or rule_of(number, row) == rule_of(number, row, "glides"):
        return ""
    span = CLASSES[row]
    along = [r for r in operators(number)[0] if round(np.linalg.det(r)) == 1 and (span.T @ r == span.T).all()]
    order = len({r.tobytes() for r in along})
    return f"{order}{order // int(rule_of(number, row).split('=')[1].rstrip('n'))}"


def absence_sets() -> dict[str, int]:
    """How many different sets of absences the settings of each family of axes have, Laue classes thrown together."""
    sets = defaultdict(set)
    for setting in settings():
        axes = crystal_system(setting.number)
        if axes == "monoclinic":
            axes += f", unique axis {setting.choice.lstrip('-')[0]}"
        elif axes in ("trigonal", "hexagonal"):
            axes = "trigonal and hexagonal, " + ("rhombohedral axes" if setting.choice == "R" else "hexagonal axes")
        absent = np.zeros(len(BOX), dtype=bool)
        for rotation, shift in zip(*setting.operators(), strict=True):
            absent |= (BOX @ rotation == BOX).all(axis=1) & (
                BOX @ np.round(shift * GRAIN).astype(np.int64) % GRAIN != 0
            )
        sets[axes].add(np.packbits(absent).tobytes())
    return {axes: len(some) for axes, some in sets.items()}


# ---- writing --------------------------------------------------------------------------------------------------------

MOYO = f"moyopy {moyopy.__version__}"
DERIVED = "derived from the operators"


def wyckoff_and_normaliser(numbers: Iterable[int]) -> Iterator[tuple[list[list[str]], list[str]]]:
    """For each group the rows of wyckoff.json and of normaliser.json."""
    for number in numbers:
        rows, letter_of = wyckoff_rows(number, orbits(number))
        yield rows, permutation_generators(number, letter_of)


def text_of_table(source: str, key: str, rows: Iterable[Any]) -> str:
    """A JSON file with its source and a line for each row."""
    body = ",\n".join("  " + json.dumps(row) for row in rows)
    head = f"Generated by scripts/make_symmetry_tables.py; do not edit. {source}"
    return f'{{\n "source": {json.dumps(head)},\n "{key}": [\n{body}\n ]\n}}\n'


def text_of_document(classes: list[list[Any]]) -> str:
    """docs/EXTINCTION.md."""
    single = sum(len(members) == 1 for _, members in classes)
    sets = absence_sets()
    listed = ";\n  ".join(f"{axes} {count}" for axes, count in sets.items())
    head = DOCUMENT_HEAD.format(classes=len(classes), single=single, sets=sum(sets.values()), listed=listed)
    lines = [head.rstrip()]
    for laue in LAUE_CLASSES:
        lines += ["", f"## Laue class {laue}", "", "| id | symbol | groups | conditions |", "|---|---|---|---|"]
        for name, members in classes:
            if laue_class(members[0]) == laue:
                groups = ", ".join(f"{number} {symbol(number)}" for number in members)
                conditions = "; ".join(f"{c}: {rule.replace('; ', ', ')}" for c, rule in condition_rows(members[0]))
                lines.append(f"| {members[0]} | {name} | {groups} | {conditions or 'none'} |")
    return "\n".join(lines) + "\n"


DOCUMENT_HEAD = """# Extinction classes

Generated by `scripts/make_symmetry_tables.py`; do not edit.

Two space groups are in one class when they have the same Laue class and the same absent families of reflections, up to
another choice of axes, cell or origin. However good a powder pattern is, the positions of its lines cannot tell such
groups apart; only intensities can. There are {classes} classes; {single} hold one group.

- **Laue class** is one of the eleven. The positions of lines do not show it within a crystal system (4/m and 4/mmm
  without absences look alike); it is kept apart because the literature does so, and because a class then says which
  families coincide. -31m and -3m1 are one Laue class here. Told apart, as for a single crystal, classes 149 and 151
  fall into two each, which makes 122.
- **Symbol**: extinction symbol after International Tables A (2006), Table 3.1.4.1, in the standard setting of the
  group that gives the class its id, the smallest of its numbers. Double glide planes are shorter than there: in I cells
  named as in the group's own symbol (`I - a -`), in A and C cells by the letter e (`A e - -`).
- **Conditions**: in that setting, for the general position. Atoms on special positions may extinguish more.
- Enantiomorphs are always together.
- International Tables list every orientation and cell apart (`P - a -` of 28 beside `P - c -` of 26), which are one
  class here. In all 530 settings {sets} different sets of absences occur, Laue classes thrown together:
  {listed}.
"""


def texts() -> dict[Path, str]:
    """Every file that this script writes."""
    positions, generators = zip(*wyckoff_and_normaliser(range(1, 231)), strict=True)
    conditions = [condition_rows(number) for number in range(1, 231)]
    classes = extinction_rows()
    proven = f"Operators of {MOYO}, transformations of gemmi {gemmi.__version__}, proven."
    return {
        DATA / "settings.json": text_of_table(proven, "settings", setting_rows()),
        DATA / "wyckoff.json": text_of_table(f"Positions {DERIVED}, letters of {MOYO}.", "positions", positions),
        DATA / "normaliser.json": text_of_table(f"Permutations {DERIVED}.", "generators", generators),
        DATA / "conditions.json": text_of_table(f"Conditions {DERIVED}.", "conditions", conditions),
        DATA / "extinction.json": text_of_table(f"Classes {DERIVED}.", "classes", classes),
        ROOT / "docs/EXTINCTION.md": text_of_document(classes),
    }


def main() -> None:
    """Write the tables and the document, or see that they are as they would be written."""
    parser = argparse.ArgumentParser(description="Write the tables of powderlens.symmetry.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file would change")
    check = parser.parse_args().check
    for path, text in texts().items():
        if check:
            if path.read_bytes() != text.encode():
                raise SystemExit(f"{path.relative_to(ROOT)} is not what this script writes")
            print(f"{path.relative_to(ROOT)}: {len(text)} bytes, the same")
            continue
        with atomic_write(path) as aside:
            aside.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {len(text)} bytes")


if __name__ == "__main__":
    main()
