#!/usr/bin/env bash
# scikit-allel 1.3.13 (PyPI), numpy 2.4.6
# Guess:     genotype `1` of a man on chromosome X is a called genotype; `0/1/1` of a triploid region keeps three alleles
#            or is refused; a fourth alternative allele has a name.
# Behaviour: with the defaults every genotype is two alleles wide: `1` becomes (1, missing) and counts as missing, not
#            as called; `0/1/1` becomes 0/1; ALT is cut after three alleles while genotypes go on naming the fourth.
# Seen:      man on X: [1, -1] missing / triploid 0/1/1: [0, 1] called / genotype 4/4: [4, 4] of ALT ['C', 'G', 'T']
# Rule:      VCF 4.3, 1.6.2 (GT: haploid calls hold one allele; ploidy is by record) and 1.6.1 (ALT: any number)
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv v && v/bin/pip install -q --disable-pip-version-check scikit-allel==1.3.13 numpy==2.4.6
cat >look.py <<'PY'
import io
import allel
vcf = """##fileformat=VCFv4.3
##contig=<ID=X>
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1
X\t100\t.\tA\tC\t50\tPASS\t.\tGT\t1
X\t200\t.\tA\tC\t50\tPASS\t.\tGT\t0/1/1
X\t300\t.\tA\tC,G,T,AT\t50\tPASS\t.\tGT\t4/4
"""
read = allel.read_vcf(io.BytesIO(vcf.encode()))
calls = allel.GenotypeArray(read["calldata/GT"])
state = ["missing" if missing[0] else "called" for missing in calls.is_missing()]
gt = [list(map(int, call[0])) for call in read["calldata/GT"]]
print(f"man on X: {gt[0]} {state[0]} / triploid 0/1/1: {gt[1]} {state[1]} / genotype 4/4: {gt[2]} of ALT {read['variants/ALT'][2].tolist()}")
PY
seen=$(v/bin/python -W ignore look.py); echo "$seen"
[ "$seen" = "man on X: [1, -1] missing / triploid 0/1/1: [0, 1] called / genotype 4/4: [4, 4] of ALT ['C', 'G', 'T']" ]
