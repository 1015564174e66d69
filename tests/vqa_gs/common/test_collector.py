import gc

import pytest

from vqa_gs.common.collector import uncollected


@pytest.mark.parametrize("on", [True, False])
def test_the_collector_is_as_it_was_whatever_happens(on):
    before = gc.isenabled()
    try:
        (gc.enable if on else gc.disable)()
        with pytest.raises(KeyError), uncollected():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() == on
    finally:
        (gc.enable if before else gc.disable)()
