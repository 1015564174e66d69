from tests.vqa_gs.objectives.conftest import make_batch

__all__ = ["make_batch"]
