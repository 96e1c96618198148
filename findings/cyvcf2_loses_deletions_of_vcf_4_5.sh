#!/usr/bin/env bash
# cyvcf2 0.35.0 reading what pysam 0.24.1 compressed and indexed (PyPI)
# Guess:     a deletion of 500 bases at 1000, written as VCF 4.5 asks (SVLEN, no END), is found by a query inside it by both.
# Behaviour: cyvcf2 takes its end for its start: the query at 1200-1300 gives no record and no warning, whereas pysam, from
#            the same file and index, gives it. With the deprecated END beside it both find it.
# Seen:      SVLEN only: pysam [1000] end 1500, cyvcf2 [] end 1000 / SVLEN and END: pysam [1000] end 1500, cyvcf2 [1000] end 1500
# Rule:      VCF 4.5, 1.6.1: END is deprecated; the end is computed as the greatest of
#            those of REF, of a symbolic allele by its SVLEN, and of LEN, and is what is indexed
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv v && v/bin/pip install -q --disable-pip-version-check cyvcf2==0.35.0 pysam==0.24.1 numpy==2.4.6
cat >look.py <<'PY'
import cyvcf2, pysam
head = """##fileformat=VCFv4.5
##contig=<ID=7,length=159345973>
##ALT=<ID=DEL,Description="Deletion">
##INFO=<ID=SVLEN,Number=A,Type=Integer,Description="Length of structural variant">
##INFO=<ID=END,Number=1,Type=Integer,Description="End position of the longest variant described in this record">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO
7\t1000\t.\tT\t<DEL>\t50\tPASS\t"""
def find(name, info):
    with open(f"{name}.vcf", "w") as out:
        out.write(f"{head}{info}\n")
    path = pysam.tabix_index(f"{name}.vcf", preset="vcf")
    one, other = next(pysam.VariantFile(path)), next(cyvcf2.VCF(path))
    by_pysam = [r.pos for r in pysam.VariantFile(path).fetch("7", 1199, 1300)]
    by_cyvcf2 = [r.POS for r in cyvcf2.VCF(path)("7:1200-1300")]
    return f"pysam {by_pysam} end {one.stop}, cyvcf2 {by_cyvcf2} end {other.end}"
print("SVLEN only:", find("new", "SVLEN=500"), "/ SVLEN and END:", find("old", "SVLEN=500;END=1500"))
PY
seen=$(v/bin/python -W ignore look.py 2>&1); echo "$seen"
[ "$seen" = "SVLEN only: pysam [1000] end 1500, cyvcf2 [] end 1000 / SVLEN and END: pysam [1000] end 1500, cyvcf2 [1000] end 1500" ]
