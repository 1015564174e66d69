"""Bad data, settings, checkpoints and models given to train and predict: exit code 2, one line, nothing left."""

import h5py
import pytest
import torch
from safetensors.torch import load_file, save_file
from vqa_gs.pair_builders.table import read_pair_table, write_pair_table

from tests.vqa_gs.cli.conftest import assert_refused, cut, new_cases, predict, read, spoil_store, write, write_fixed36
from vqa_gs.cli import main
from vqa_gs.training.checkpoint import FORMAT

CASES, case = new_cases()


# vqa-gs train


def train(here, *more):
    return ["train", "--config", here.config, "--out", str(here.out), "--max-steps", "2", *more]


@case("nowhere.h5", "check the path")
def train_missing_store(here):
    return train(here, "--data.features", str(here.folder / "nowhere.h5"))


@case("store.h5")
def train_truncated_store(here):
    return train(here, "--data.features", str(cut(here.store)))


@case("store.h5", "image 3", "NaN")
def train_nan_store(here):
    return train(here, "--data.features", str(spoil_store(here.store, 3)), "--model.standardize", "true")


@case("nowhere.json", "check the path")
def train_missing_test_split(here):
    files = f"{{ood: {{questions: {here.folder}/nowhere.json, annotations: {here.annotations}}}}}"
    return train(here, "--data.tests", files)


@case("train_questions.json", "question 7", "image 999", "store.h5", "convert")
def train_missing_image(here):
    for file in (here.train_questions, here.train_annotations):
        content = read(file)
        content[7]["image_id"] = 999
        write(file, content)
    files = [
        "--data.train.questions",
        str(here.train_questions),
        "--data.train.annotations",
        str(here.train_annotations),
    ]
    return train(here, *files)


@case("train_questions.json", "question 0", "no annotation")
def train_other_annotations(here):
    files = ["--data.train.questions", str(here.train_questions), "--data.train.annotations", str(here.annotations)]
    return train(here, *files)


@case("pairs.h5", "holds no pairs", "looser settings")
def train_empty_pairs(here):
    write_pair_table(here.pairs, read_pair_table(here.pairs).select([]))
    return train(here, "--data.pairs", f"[{here.pairs}]")


@case("pairs.h5", "build it again")
def train_truncated_pairs(here):
    return train(here, "--data.pairs", f"[{cut(here.pairs)}]")


@case("pairs.h5", "pair 0", "in no training file")
def train_pairs_of_other_questions(here):
    files = ["--data.train.questions", str(here.questions), "--data.train.annotations", str(here.annotations)]
    return train(here, *files, "--data.pairs", f"[{here.pairs}]")


@case("pairs.h5", "pair 0", "regions", "build the pair table again")
def train_pairs_of_other_features(here):
    table = read_pair_table(here.pairs)
    with h5py.File(here.pairs, "r+") as file:
        file["alignment/rows"][0] = (40, 40)
    assert table.first[1] > 0
    return train(here, "--data.pairs", f"[{here.pairs}]")


@case("config.yaml", "training", "epoch")
def train_unknown_field(here):
    file = here.folder / "config.yaml"
    with open(here.config) as given:
        file.write_text(given.read().replace("epochs:", "epoch:"))
    here.config = str(file)
    return train(here)


@case("config.yaml", "training.epochs", "many")
def train_bad_type(here):
    file = here.folder / "config.yaml"
    with open(here.config) as given:
        file.write_text(given.read().replace("epochs: 16", "epochs: many"))
    here.config = str(file)
    return train(here)


@case("training.lr", "-1")
def train_bad_value(here):
    return train(here, "--training.lr", "-1")


@case("nowhere.yaml", "no such configuration file")
def train_missing_config(here):
    here.config = str(here.folder / "nowhere.yaml")
    return train(here)


@case("run.json/made", "choose a writable place")
def train_into_no_folder(here):
    here.out = here.run / "run.json" / "made"
    return train(here)


@case("checkpoint.pt", "remove it")
def train_truncated_checkpoint(here):
    here.out = interrupted(here)
    cut(here.out / "checkpoint.pt")
    return train(here)


@case("checkpoint.pt", "another program's", "remove it")
def train_foreign_checkpoint(here):
    here.out = interrupted(here)
    torch.save({"epoch": 3, "state_dict": {}}, here.out / "checkpoint.pt")
    return train(here)


@case("checkpoint.pt", "model", "gru.bias_hh_l0", "remove it")
def train_checkpoint_of_other_shape(here):
    here.out = interrupted(here)
    content = torch.load(here.out / "checkpoint.pt", weights_only=True)
    content["model"]["model.gru.bias_hh_l0"] = torch.zeros(5)
    torch.save(content, here.out / "checkpoint.pt")
    return train(here)


@case("checkpoint.pt", "optimizer", "remove it")
def train_checkpoint_of_other_optimizer(here):
    here.out = interrupted(here)
    content = torch.load(here.out / "checkpoint.pt", weights_only=True)
    content["optimizer"] = torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), lr=1.0).state_dict()
    torch.save(content, here.out / "checkpoint.pt")
    return train(here)


def interrupted(here):
    """Returns a run directory as a killed run leaves it."""
    words = train(here)
    assert main(words) == 0
    (here.out / "done").unlink()
    model = {f"model.{name}": tensor for name, tensor in load_file(here.out / "model.safetensors").items()}
    state = {"format": FORMAT, "step": 1, "model": model, "optimizer": {}}
    state |= {"best": {"epoch": -1, "accuracy": -1.0, "model": None}, "recent": {}, "epoch_means": {}}
    state |= {"steps_log": [], "epochs_log": []}
    state["sources"] = read(here.out / "run.json")["sources"]
    torch.save(state, here.out / "checkpoint.pt")
    return here.out


# vqa-gs predict


@case("nowhere", "no such run directory", "vqa-gs train")
def predict_missing_run(here):
    here.run = here.folder / "nowhere"
    return predict(here)


@case("has no model yet", "vqa-gs train")
def predict_unfinished_run(here):
    (here.run / "model.safetensors").unlink()
    return predict(here)


@case("model.safetensors", "train the run again")
def predict_truncated_model(here):
    cut(here.run / "model.safetensors")
    return predict(here)


@case("model.safetensors", "attention_score.bias", "train the run again")
def predict_other_shapes(here):
    state = load_file(here.run / "model.safetensors")
    state["attention_score.bias"] = torch.zeros(3)
    save_file(state, here.run / "model.safetensors")
    return predict(here)


@case("model.safetensors", "is missing", "train the run again")
def predict_other_names(here):
    save_file({"fc.weight": torch.zeros(3)}, here.run / "model.safetensors")
    return predict(here)


@case("config.yaml")
def predict_damaged_config(here):
    (here.run / "config.yaml").write_text("data: [")
    return predict(here)


@case("answers.json", "fetch it again")
def predict_truncated_vocabulary(here):
    cut(here.run / "answers.json")
    return predict(here)


@case("questions.json", "question 2003", "image 999", "store.h5")
def predict_missing_image(here):
    content = read(here.questions)
    content[3]["image_id"] = 999
    write(here.questions, content)
    return predict(here)


@case("store.h5", "image 103", "NaN")
def predict_nan_store(here):
    spoil_store(here.store, 103)
    return predict(here)


@case("made.h5", "--allow-other-features")
def predict_other_features(here):
    store = here.folder / "made.h5"
    assert main(["features", "convert", str(write_fixed36(here.folder, range(120))), "--out", str(store)]) == 0
    here.store = store
    return predict(here)


@case("run.json/made", "choose a writable place")
def predict_into_no_folder(here):
    here.out = here.run / "run.json" / "made"
    return predict(here)


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_line_and_leaves_nothing(here, capfd, name):
    assert_refused(here, capfd, *CASES[name])
