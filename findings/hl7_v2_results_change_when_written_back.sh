#!/usr/bin/env bash
# HL7 v2.5.1: hl7types 0.9.5 and hl7apy 1.3.5 (PyPI)
# Guess:     a message that is parsed and written again without a change says the same.
# Behaviour: hl7types escapes the separators inside OBX-5, so a coded result or "<^3.0" becomes one long text: the code and the
#            comparator are gone for the next reader. hl7apy escapes the escape of a line break, which then reads
#            as the letters .br. Each keeps what the other changes.
# Seen:      SN <^3.0: hl7types <\S\3.0 hl7apy <^3.0 / CWE LA6576-8^Positive^LN: hl7types LA6576-8\S\Positive\S\LN hl7apy LA6576-8^Positive^LN / FT low\.br\repeated: hl7types low\.br\repeated hl7apy low\E\.br\E\repeated
# Rule:      HL7 v2.5.1, 7.4.2.5 OBX-5 (its type is the one named in OBX-2; SN is comparator^num1), 2.7.1 (\S\ stands for the
#            separator as a character of data) and 2.7.6 (\.br\ begins a new line in formatted text)
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv v && v/bin/pip install -q --disable-pip-version-check hl7types==0.9.5 hl7apy==1.3.5
cat >look.py <<'PY'
import hl7apy.parser, hl7types
HEAD = ["MSH|^~\\&|LAB|H|EHR|H|20240101120000||ORU^R01^ORU_R01|1|P|2.5.1", "PID|1||P1^^^H^MR||DOE^J||19800101|M",
        "OBR|1|||CULT^Culture^L|||202401011200"]
def written(kind, value):
    message = "\r".join([*HEAD, f"OBX|1|{kind}|CULT^Culture^L||{value}||||||F", ""])
    results = {"hl7types": hl7types.encode_er7(hl7types.decode_er7(message)),
               "hl7apy": hl7apy.parser.parse_message(message, find_groups=True).to_er7()}
    fifth = {name: next(s for s in text.replace("\n", "\r").split("\r") if s.startswith("OBX")).split("|")[5]
             for name, text in results.items()}
    return f"{kind} {value}: " + " ".join(f"{name} {field}" for name, field in fifth.items())
print(" / ".join([written("SN", "<^3.0"), written("CWE", "LA6576-8^Positive^LN"), written("FT", "low\\.br\\repeated")]))
PY
seen=$(v/bin/python -W ignore look.py); echo "$seen"
[ "$seen" = 'SN <^3.0: hl7types <\S\3.0 hl7apy <^3.0 / CWE LA6576-8^Positive^LN: hl7types LA6576-8\S\Positive\S\LN hl7apy LA6576-8^Positive^LN / FT low\.br\repeated: hl7types low\.br\repeated hl7apy low\E\.br\E\repeated' ]
