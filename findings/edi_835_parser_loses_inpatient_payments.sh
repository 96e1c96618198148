#!/usr/bin/env bash
# X12 835 remittance advice: edi-835-parser 1.8.0 (PyPI), pandas 2.3.3
# Guess:     the table of a remittance holds all that was paid, and a charge is what was paid plus its adjustments.
# Behaviour: a claim that is paid as a whole (an inpatient stay by DRG has no SVC segment) has no row at all, and of a
#            CAS segment with two adjustments (a reason, an amount and a quantity each) only the first is kept.
# Seen:      paid 1650.00 in BPR, 150 in the table: CLM1 only; charge 200 = paid 150 + adjusted 30
# Rule:      ASC X12 005010X221A1: 1.10.2.1 (balancing: charge less adjustments is payment, claims sum up to BPR02);
#            loop 2110 (SVC) is situational; CAS holds up to six reasons, amounts and quantities (CAS02 to CAS19)
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv v && v/bin/pip install -q --disable-pip-version-check edi-835-parser==1.8.0 pandas==2.3.3 numpy==2.4.6
cat >look.py <<'PY'
import edi_835_parser
body = """ST*835*0001
BPR*I*1650*C*ACH*CCP*01*999999992*DA*123456*1512345678**01*999988880*DA*98765*20240106
TRN*1*12345*1512345678
DTM*405*20240106
N1*PR*HEALTH PLAN
N3*1 MAIN ST
N4*TOWN*MN*55401
PER*BL*EDI*TE*8005551212
N1*PE*HOSPITAL*XX*1999996666
LX*1
CLP*CLM1*1*200*150**12*ICN1*22*1
NM1*QC*1*DOE*JANE****MI*A1
DTM*232*20240101
DTM*233*20240101
SVC*HC:99213*200*150**1
DTM*472*20240101
CAS*CO*45*30**253*20
CLP*CLM2*1*5000*1500*500*12*ICN2*11*1
CAS*CO*45*3000
CAS*PR*1*500
NM1*QC*1*ROE*JOHN****MI*A2
DTM*232*20240101
DTM*233*20240103""".split("\n")
body.append(f"SE*{len(body) + 1}*0001")
isa = "ISA*00*          *00*          *ZZ*PAYER          *ZZ*PAYEE          *240105*1253*^*00501*000000905*0*P*:"
with open("remittance.835", "w") as out:
    out.write("~".join([isa, "GS*HP*PAYER*PAYEE*20240105*1253*1*X*005010X221A1", *body, "GE*1*1", "IEA*1*000000905", ""]))
table = edi_835_parser.parse("remittance.835").to_dataframe()
adjusted = table[[c for c in table if c.startswith("adj_") and c.endswith("_amount")]].sum(axis=1)
print(f"paid 1650.00 in BPR, {table['paid_amount'].sum():g} in the table: {' '.join(table['marker'])} only; "
      f"charge {table['charge_amount'][0]:g} = paid {table['paid_amount'][0]:g} + adjusted {adjusted[0]:g}")
PY
seen=$(v/bin/python -W ignore look.py); echo "$seen"
[ "$seen" = "paid 1650.00 in BPR, 150 in the table: CLM1 only; charge 200 = paid 150 + adjusted 30" ]
