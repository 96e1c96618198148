#!/usr/bin/env bash
# flow cytometry, FCS 3.1: fcsparser 0.2.8, FlowCal 1.3.1, FlowIO 1.4.0 (PyPI) on one file of a log-amplified channel
# Guess:     readers of one file agree on an event's fluorescence: channel number 512 of 1024 with $P1E "4,1" is the
#            relative intensity 10^(4*512/1024) * 1 = 100; with a gain of 4 ($P1G) on a linear channel it is 512/4 = 128.
# Behaviour: fcsparser and FlowCal give the channel number in both cases and say nothing; FlowIO gives it too by `.events`
#            and the intensity by `.as_array()`: of one object. A ratio of medians is then wrong by orders of magnitude.
# Seen:      log: fcsparser 512 FlowCal 512 FlowIO.events 512 FlowIO.as_array 100 / gain 4: fcsparser 512 FlowCal 512 FlowIO.events 512 FlowIO.as_array 128
# Rule:      FCS 3.1 (Spidlen et al. 2010), 3.2.20 $PnE, $PnG: how a channel number becomes a value on the scale
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv v && v/bin/pip install -q --disable-pip-version-check fcsparser==0.2.8 FlowCal==1.3.1 flowio==1.4.0 numpy==1.26.4 pandas==2.3.3
cat >look.py <<'PY'
import struct
import FlowCal, fcsparser, flowio

def write(path, amplification, gain):
    """One event of one 16-bit channel with range 1024, channel number 512."""
    said = {"$BEGINANALYSIS": 0, "$ENDANALYSIS": 0, "$BEGINSTEXT": 0, "$ENDSTEXT": 0, "$BYTEORD": "1,2,3,4",
            "$DATATYPE": "I", "$MODE": "L", "$NEXTDATA": 0, "$PAR": 1, "$TOT": 1, "$P1N": "FL1-H", "$P1B": 16,
            "$P1R": 1024, "$P1E": amplification, "$P1G": gain}
    def text(begin, end):
        both = said | {"$BEGINDATA": f"{begin:8}", "$ENDDATA": f"{end:8}"}
        return ("|" + "|".join(f"{key}|{value}" for key, value in both.items()) + "|").encode()
    start, data = 256, struct.pack("<H", 512)
    begin = start + len(text(0, 0)); end = begin + len(data) - 1
    header = b"FCS3.1    " + b"".join(f"{n:8}".encode() for n in (start, begin - 1, begin, end, 0, 0))
    open(path, "wb").write(header.ljust(start) + text(begin, end) + data)

def read(path):
    flow = flowio.FlowData(path)
    return {"fcsparser": fcsparser.parse(path)[1].iloc[0, 0], "FlowCal": FlowCal.io.FCSData(path)[0, 0],
            "FlowIO.events": flow.events[0], "FlowIO.as_array": flow.as_array()[0, 0]}

write("log.fcs", "4,1", "1.0"); write("gain.fcs", "0,0", "4.0")
print(" / ".join(f"{name}: " + " ".join(f"{lib} {float(v):g}" for lib, v in read(path).items())
                 for name, path in (("log", "log.fcs"), ("gain 4", "gain.fcs"))))
PY
seen=$(v/bin/python -W ignore look.py); echo "$seen"
[ "$seen" = "log: fcsparser 512 FlowCal 512 FlowIO.events 512 FlowIO.as_array 100 / gain 4: fcsparser 512 FlowCal 512 FlowIO.events 512 FlowIO.as_array 128" ]
