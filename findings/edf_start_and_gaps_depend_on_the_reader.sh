#!/usr/bin/env bash
# EDF+: pyEDFlib 0.1.42 and edfio 0.4.18 (PyPI) on the same valid files
# Guess:     a recording that starts half a second after its header's time is dated so by both; one with a pause of 97 s
#            (EDF+D) is refused, or shows the pause.
# Behaviour: pyEDFlib's getStartdatetime gives .050 for the half second. edfio joins the records around the pause without a
#            warning: the file lasts 4 s, the sample of an event at 101 s lies at 3 s while the event stays at 101 s.
#            (pyEDFlib refuses EDF+D.)
# Seen:      start pyEDFlib 10:00:00.050000 edfio 10:00:00.500000 / pause: edfio lasts 4 s, peak at 3 s, event at 101 s
# Rule:      EDF+ specification (Kemp and Olivan 2003), 2.2.4 Time keeping: the first TAL of each data record gives its
#            start after the file's start, with decimals of a second; EDF+D: records need not follow each other at once
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv v && v/bin/pip install -q --disable-pip-version-check pyEDFlib==0.1.42 edfio==0.4.18 numpy==2.4.6
cat >look.py <<'PY'
import struct
import edfio, pyedflib

def write(path, kind, starts):
    """Records of one second with ten samples; the last record holds a peak and an event at its beginning."""
    pad = lambda text, width: str(text).encode().ljust(width)
    both = lambda values, width: b"".join(pad(v, width) for v in values)
    head = (pad(0, 8) + pad("X X X X", 80) + pad("Startdate 01-JAN-2024 X X X", 80) + pad("01.01.24", 8) + pad("10.00.00", 8)
            + pad(768, 8) + pad(kind, 44) + pad(len(starts), 8) + pad(1, 8) + pad(2, 4)
            + both(["EEG Fpz-Cz", "EDF Annotations"], 16) + both(["", ""], 80) + both(["uV", ""], 8)
            + both([-100, -1], 8) + both([100, 1], 8) + both([-32768, -32768], 8) + both([32767, 32767], 8)
            + both(["", ""], 80) + both([10, 30], 8) + both(["", ""], 32))
    with open(path, "wb") as out:
        out.write(head)
        for n, start in enumerate(starts):
            last = n == len(starts) - 1
            notes = f"+{start}\x14\x14\0" + (f"+{start}\x14spike\x14\0" if last else "")
            out.write(struct.pack("<10h", 30000 if last else 0, *[0] * 9) + notes.encode().ljust(60, b"\0"))

write("half.edf", "EDF+C", ["0.5", "1.5", "2.5"]); write("pause.edf", "EDF+D", ["0", "1", "100", "101"])
with pyedflib.EdfReader("half.edf") as reader:
    start = reader.getStartdatetime().time()
pause = edfio.read_edf("pause.edf")
signal = pause.signals[0]
print(f"start pyEDFlib {start} edfio {edfio.read_edf('half.edf').starttime} / pause: edfio lasts {pause.duration:g} s, "
      f"peak at {signal.data.argmax() / signal.sampling_frequency:g} s, event at {pause.annotations[-1].onset:g} s")
PY
seen=$(v/bin/python -W error look.py); echo "$seen"
[ "$seen" = "start pyEDFlib 10:00:00.050000 edfio 10:00:00.500000 / pause: edfio lasts 4 s, peak at 3 s, event at 101 s" ]
