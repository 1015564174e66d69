"""Made-up files of VQA-CP v2's names, forms and sizes, or a share of them, for benchmarks and tests.

Texts have a length and repetition like the real ones: a few questions are asked thousands of times, most once. Images,
features and answers are random, so a model learns nothing from them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image
from vqa_gs.features.export import export
from vqa_gs.features.writer import RegionStoreWriter
from vqa_gs.pair_builders.classes.coco import SYNONYMS

from vqa_gs.data.questions import Annotation, Answer, Question, QuestionSet
from vqa_gs.data.write_questions import write_question_set

TRAIN, TEST, IMAGES, REGIONS = 438_183, 219_928, 123_287, 36
# Questions of VQA v1's training half that VQA-HAT has a map of.
MAPS = 58_475
# So that more than a thousand answers have nine questions; of VQA-CP v2 2,274 do.
_RARE = 1_500

TEMPLATES = [
    ("how many {0} are {2}", "number", 12), ("how many {0} are there", "number", 6),
    ("is there a {0} {2}", "yes/no", 8), ("is the {0} {3}", "yes/no", 14),
    ("is this a {3} {0}", "yes/no", 6), ("what color is the {0}", "other", 8),
    ("what color is the {0} {2}", "other", 7), ("what is the {0} doing", "other", 5), ("what is {2}", "other", 4),
    ("what kind of {0} is this", "other", 5), ("are the {0} {3}", "yes/no", 6), ("what is the {0} holding", "other", 4),
    ("where is the {0} with the {3} {1}", "other", 5), ("what is behind the {3} {0} and the {1}", "other", 5),
    ("why is the {0} next to the {1}", "other", 5),
]  # fmt: skip
PLACES = [
    "in the picture", "in this photo", "on the table", "in the background", "on the left", "on the road", "on the wall",
]  # fmt: skip


def questions_of(count: int, images: int, seed: int = 0, rare: int = 0) -> QuestionSet:
    """Makes up questions and answers.

    Args:
        count: how many.
        images: they are about images 0, 1 ... of so many.
        seed: of what is drawn.
        rare: so many answers beside the common ones.
    """
    generator = np.random.default_rng(seed)
    nouns = [*SYNONYMS, *(f"noun{number}" for number in range(3000))]
    adjectives = [f"adjective{number}" for number in range(400)]
    heads, others = ((generator.zipf(1.35, count) - 1) % len(nouns) for _ in range(2))
    places = (generator.zipf(1.5, count) - 1) % len(PLACES)
    looks = (generator.zipf(1.3, count) - 1) % len(adjectives)
    weights = np.array([template[2] for template in TEMPLATES], float)
    kinds = generator.choice(len(TEMPLATES), count, p=weights / weights.sum())
    names = [*SYNONYMS, "white", "red", "nothing", "wood", "sitting", "eating"]
    names += [f"answer{number}" for number in range(rare)]
    chosen = {"yes/no": ["yes", "no"], "number": list("0123456"), "other": names}
    draws = (generator.zipf(1.4, count) - 1).astype(np.int64)
    tens: dict[str, tuple[Answer, ...]] = {}
    asked, answered = [], []
    image_of = np.sort(generator.integers(0, images, count)).tolist()
    for at, (kind, image) in enumerate(zip(kinds.tolist(), image_of, strict=True)):
        pattern, answer_type, _ = TEMPLATES[kind]
        text = pattern.format(nouns[heads[at]], nouns[others[at]], PLACES[places[at]], adjectives[looks[at]])
        pool = chosen[answer_type]
        answer = pool[int(draws[at]) % len(pool)]
        ten = tens.setdefault(answer, tuple(Answer(answer, "yes", number) for number in range(1, 11)))
        asked.append(Question(at, image, text + "?"))
        answered.append(Annotation(at, image, ten, " ".join(text.split()[:2]), answer_type, answer))
    return QuestionSet(asked, answered, {"made-up": "0" * 64})


def half_of(image: int) -> str:
    """Returns the half of COCO that an image is in; both splits of VQA-CP are about images of both."""
    return "train2014" if image % 3 else "val2014"


def write_questions(folder: Path, scale: float = 1.0, about: range | None = None) -> dict[str, QuestionSet]:
    """Writes the four JSON files as bare lists, as they were released; returns what is in them, by split.

    Args:
        folder: where.
        scale: share of the questions.
        about: the images; None: the same share of them.
    """
    images, made = about or images_of(scale), {}
    for seed, (split, count) in enumerate((("train", TRAIN), ("test", TEST))):
        found = questions_of(round(count * scale), len(images), seed, _RARE)
        assert found.annotations is not None
        # Ids as VQA has them: the image's and a number behind it; the splits share images, not questions.
        ids = [question.image_id * 10_000 + at % 5_000 + 5_000 * seed for at, question in enumerate(found.questions)]
        made[split] = QuestionSet(
            [
                Question(id, question.image_id, question.question, half_of(question.image_id))
                for id, question in zip(ids, found.questions, strict=True)
            ],
            [msgspec.structs.replace(given, question_id=id) for id, given in zip(ids, found.annotations, strict=True)],
            {},
        )
        write_question_set(
            made[split], *(folder / f"vqacp_v2_{split}_{kind}.json" for kind in ("questions", "annotations"))
        )
    return made


def images_of(scale: float = 1.0) -> range:
    """Returns the ids of all images."""
    return range(max(200, round(IMAGES * scale)))


def write_store(file: Path, images: Iterable[int], dim: int) -> None:
    """Writes a float16 store of 36 regions an image; features repeat after 64 images, boxes after 8."""
    rng = np.random.default_rng(0)
    pool = np.maximum(rng.normal(size=(64, REGIONS, dim)), 0).astype(np.float16)
    corner = rng.uniform(0, 0.5, (8, REGIONS, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0.1, 0.5, corner.shape)], axis=2) * [640, 480, 640, 480]
    columns = {
        name: np.zeros(REGIONS, np.float32 if name.endswith("score") else np.int32)
        for name in ("class", "class_score", "attribute", "attribute_score")
    }
    with RegionStoreWriter(file, dim=dim, dtype="float16", fingerprint="made up", columns=columns) as writer:
        for image in images:
            writer.add(image, pool[image % 64], boxes[image % 8].astype(np.float32), (640, 480), columns)


def write_tsv(folder: Path, scale: float, dim: int) -> list[Path]:
    """Writes both halves as LXMERT's feature files, and returns them."""
    files = []
    for half in ("train2014", "val2014"):
        files.append(folder / f"{half}_obj36.tsv")
        store = folder / f"{half}.h5"
        write_store(store, (image for image in images_of(scale) if half_of(image) == half), dim)
        export(store, files[-1], "tsv-10", id_template=f"COCO_{half}_{{:012d}}")
        store.unlink()
    return files


def write_attention(folder: Path, train: QuestionSet, scale: float) -> None:
    """Writes VQA-HAT's maps, of 20 x 15 pixels, and the questions of VQA v1 whose ids they bear."""
    maps = folder / "vqahat_train"
    maps.mkdir()
    rng = np.random.default_rng(0)
    asked = [question for question in train.questions if question.coco_split == "train2014"]
    chosen = sorted(rng.permutation(len(asked))[: round(MAPS * scale)].tolist())
    first = []
    for at in chosen:
        # VQA v1 has ids of its own for the same questions.
        first.append(msgspec.structs.replace(asked[at], question_id=at + 1, coco_split=None))
        x, y = rng.integers(0, 15), rng.integers(0, 10)
        attention = np.zeros((15, 20), np.uint8)
        attention[y : y + 5, x : x + 5] = 200
        Image.fromarray(attention).save(maps / f"{at + 1}_1.png")
    rows = [{"image_id": one.image_id, "question": one.question, "question_id": one.question_id} for one in first]
    (folder / "OpenEnded_mscoco_train2014_questions.json").write_text(json.dumps({"questions": rows}))


def write_hints(folder: Path, train: QuestionSet) -> None:
    """Writes scores of every tenth question's regions in the form of CSS's hint file."""
    rng = np.random.default_rng(0)
    hints = {str(one.question_id): rng.uniform(size=REGIONS).round(3).tolist() for one in train.questions[::10]}
    (folder / "train_cpv2_hintscore.json").write_text(json.dumps(hints))
