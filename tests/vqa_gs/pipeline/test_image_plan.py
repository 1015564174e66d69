from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vqa_gs.pipeline.image_plan import ImagePlan, Parts, image_codes
from vqa_gs.pipeline.plan import Plan

IMAGES = st.lists(st.integers(0, 12), min_size=1, max_size=60).map(np.array)


def epoch_of(plan, epoch):
    steps = range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch)
    return [plan.step(step) for step in steps]


@settings(max_examples=150, deadline=None)
@given(IMAGES, st.integers(1, 5), st.integers(1, 40), st.integers(1, 3), st.integers(0, 3))
def test_every_question_once_an_epoch_and_images_whole(images, most, batch, world, epoch):
    ranks = [ImagePlan(images, most, 0, batch, 0, 5, rank, world) for rank in range(world)]
    assert ranks[0].steps_per_epoch == Plan(len(images), 0, batch, 0, 5).steps_per_epoch
    seen = []
    for shares in zip(*(epoch_of(plan, epoch) for plan in ranks), strict=True):
        together = np.concatenate([share[0] for share in shares])
        assert all(share[2] == len(together) for share in shares)
        # About as many as every other step has: a part more or less.
        assert abs(len(together) - len(images) / ranks[0].steps_per_epoch) < 1 + most
        assert len(together)
        if len(images) // ranks[0].steps_per_epoch >= world:
            assert all(len(share[0]) for share in shares)
        seen += together.tolist()
    assert sorted(seen) == list(range(len(images)))
    # An image is cut into as few draws as can be, and those of one process's step stand together.
    draws = Counter()
    for plan in ranks:
        for examples, *_ in epoch_of(plan, epoch):
            shown = images[examples]
            starts = np.flatnonzero(np.diff(shown, prepend=-1))
            draws.update(shown[starts].tolist())
    sizes = Counter(images.tolist())
    assert all(draws[image] <= -(-size // ranks[0].most) for image, size in sizes.items())


def test_a_step_is_a_pure_function_of_seed_and_step():
    images = np.random.default_rng(0).integers(0, 40, 200)
    one, other = (ImagePlan(images, 4, 30, 32, 3, 7) for _ in range(2))
    steps = list(range(25))
    first = [one.step(step) for step in steps]
    for step in reversed(steps):
        for here, there in zip(first[step], other.step(step), strict=True):
            assert np.array_equal(here, there)
    assert not np.array_equal(first[0][0], ImagePlan(images, 4, 30, 32, 3, 8).step(0)[0])
    assert not np.array_equal(np.sort(first[0][0]), np.sort(first[one.steps_per_epoch][0]))
    plain = Plan(200, 30, 32, 3, 7)
    assert all(np.array_equal(part[1], plain.step(step)[1]) for step, part in enumerate(first))


def test_parts_of_a_large_image_hold_others_in_each_epoch():
    plan = ImagePlan(np.zeros(12, np.int64), 3, 0, 3, 0, 1)
    drawn = [[frozenset(step[0].tolist()) for step in epoch_of(plan, epoch)] for epoch in (0, 1)]
    assert [len(part) for part in drawn[0]] == [3, 3, 3, 3]
    assert set(drawn[0]) != set(drawn[1])


@given(IMAGES, st.integers(1, 5), st.randoms())
def test_parts_can_be_rearranged(images, most, random):
    parts = Parts.of(images, np.arange(len(images)), most)
    groups = [parts.examples[a:b].tolist() for a, b in zip(parts.first[:-1], parts.first[1:], strict=True)]
    assert all(len(group) <= most and len(set(images[group])) == 1 for group in groups)
    order = list(range(len(groups)))
    random.shuffle(order)
    again = parts.arranged(np.array(order))
    assert again.examples.tolist() == [row for place in order for row in groups[place]]
    assert np.diff(again.first).tolist() == [len(groups[place]) for place in order]


def test_numbers_of_images_of_any_kind():
    assert image_codes([5, "5", 5, 2, "5"]).tolist() == [0, 1, 0, 2, 1]
