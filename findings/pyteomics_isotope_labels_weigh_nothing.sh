#!/usr/bin/env bash
# proteomics: pyteomics 5.0.1 (PyPI), ProForma 2.0 peptides
# Guess:     a peptide with a global isotope label (SILAC, 15N: "<15N>ATPEK") is heavier by its number of such atoms,
#            and asparagine or aspartate ("B") has a mass or is refused.
# Behaviour: the label is parsed, kept and written back, but `mass` and `mz` are those of the light peptide; B and Z weigh
#            0, as X does. A search for the precursor of a labelled sample looks 6 to 23 Da beside it.
# Seen:      ATPEK 544.286, <15N>ATPEK 544.286 (right 550.268), <13C>ATPEK 544.286 (right 567.363), atom by atom 567.363; BK 146.106 (K 146.106, DK 261.132)
# Rule:      ProForma 2.0 (LeDuc et al. 2022), 4.6.1 Representation of isotopes: the label holds for all atoms
#            of the element in the peptide; pyteomics documents mass as the "total monoisotopic neutral mass of the peptidoform"
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv v && v/bin/pip install -q --disable-pip-version-check pyteomics==5.0.1 numpy==2.4.6
cat >look.py <<'PY'
from pyteomics import mass
from pyteomics.proforma import ProForma
def heavy(sequence, element, number):
    atoms = mass.Composition(sequence)
    light, label = mass.nist_mass[element][0][0], mass.nist_mass[element][number][0]
    return f"{mass.calculate_mass(atoms) + atoms[element] * (label - light):.3f}"
def weigh(text):
    peptide = ProForma.parse(text)
    assert str(peptide) == text
    return f"{peptide.mass:.3f}"
carbon = "C"
labelled = dict(mass.Composition("ATPEK")); labelled["C[13]"] = labelled.pop(carbon)
print(f"ATPEK {weigh('ATPEK')}, <15N>ATPEK {weigh('<15N>ATPEK')} (right {heavy('ATPEK', 'N', 15)}), "
      f"<13C>ATPEK {weigh('<13C>ATPEK')} (right {heavy('ATPEK', carbon, 13)}), "
      f"atom by atom {mass.calculate_mass(composition=mass.Composition(labelled)):.3f}; "
      f"BK {weigh('BK')} (K {weigh('K')}, DK {weigh('DK')})")
PY
seen=$(v/bin/python -W ignore look.py); echo "$seen"
[ "$seen" = "ATPEK 544.286, <15N>ATPEK 544.286 (right 550.268), <13C>ATPEK 544.286 (right 567.363), atom by atom 567.363; BK 146.106 (K 146.106, DK 261.132)" ]
