"""A batch is a plain tuple of tensors."""

import torch

from gpr_core.features.batch import TimelineBatch


def test_a_batch_names_its_tensors_with_their_shapes():
    assert TimelineBatch._fields == (
        "kind_BT",
        "sid_BTL",
        "has_sid_BT",
        "feat_BTF",
        "ts_BT",
        "seg_BT",
        "readout_BR",
        "request_key_BR",
        "user_key_B",
        "thought_BRP",
    )


def test_replacing_one_tensor_keeps_the_others():
    batch = TimelineBatch(*[torch.zeros(1) for _ in TimelineBatch._fields])
    changed = batch._replace(ts_BT=torch.ones(1))
    assert changed.kind_BT is batch.kind_BT
    assert changed.ts_BT.item() == 1.0
