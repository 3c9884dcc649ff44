"""Ensembles written by hand, beside the models whose weights went into them."""

import json

import numpy as np
from safetensors.numpy import save

from raytrain.ensemble.artifact import load_ensemble
from raytrain.network.build import build_model
from raytrain.network.weights import encoder_variables, head_variables, read_variables
from raytrain.storage.directory import Directory
from raytrain.storage.files import json_bytes, sha256
from raytrain.text.vocab import Vocab, vocab_file


class WrittenEnsemble:
    """An ensemble of random weights; `models` has those of each architecture that these went into."""

    def __init__(self, directory, kind, config, tokens, labels, words=(), reading=None, user_dict=None):
        self.directory, self.config, self.kind, self.words = Directory(directory), config, kind, words
        self.files, self.models = [], {}
        name, vocab = vocab_file(Vocab(tokens))
        self.manifest = {
            "schema_version": 8,
            "task": "classify",
            "labels": labels,
            "config": {
                "data": {"text": "text", "label": "label"},
                "encoder": {"maxlen": 20} | (reading or {}),
                "train": {"precision": "float32"},
            },
            "encoder": {
                "kind": kind,
                "config": self.add("encoder/config.json", json_bytes(config)),
                "vocab": self.add(f"encoder/{name}", vocab),
                "weights": None,
            },
            "words": {"vocabulary": self.add("words/vocabulary.json", json_bytes([*words]))}
            if words
            else None,
            "architectures": {},
            "files": self.files,
        }
        if user_dict:
            self.manifest["words"]["user_dict"] = self.add("words/user_dict.txt", user_dict.encode())

    def add(self, name, data):
        """Writes a file that the manifest lists. Returns its name."""
        self.directory.write_bytes(name, data)
        self.files[:] = [entry for entry in self.files if entry["name"] != name]
        self.files.append({"name": name, "bytes": len(data), "sha256": sha256(data)})
        return name

    def add_characters(self, vectors):
        """Vectors of characters, for words that no fold has seen."""
        codepoints = np.array([ord(char) for char in vectors], np.int32)
        arrays = {"codepoints": codepoints, "vectors": np.stack([*vectors.values()]).astype(np.float32)}
        name = self.add("words/characters.safetensors", save(arrays))
        self.manifest["words"]["characters"] = name

    def add_architecture(self, name, train_encoder, pooling="first", folds=2, repeats=1, noise=0.15):
        """Folds of one architecture, each with other weights, but for a frozen encoder's."""
        num_labels, embedding = len(self.manifest["labels"]), (len(self.words) + 2, 4)
        arguments = {"train_encoder": train_encoder, "embedding": [*embedding], "pooling": pooling}
        arguments |= {"num_classes": num_labels, "dropout": 0.1}
        entry = self.manifest["architectures"][name] = {"model": arguments, "folds": []}
        shape = num_labels, embedding, train_encoder, 0.1
        frozen = None
        for repeat, fold in np.ndindex(repeats, folds):
            seed = 10 * repeat + fold
            model = build_model(name, self.kind, self.config, *shape, seed=seed, pooling=pooling)
            head, encoder = head_variables(model), encoder_variables(model)
            rng = np.random.default_rng(seed)
            for variable in (head | encoder).values():
                variable.assign_add(rng.normal(0, noise, variable.shape))
            if not train_encoder:
                frozen = frozen or self.freeze(read_variables(encoder))
                for key, variable in encoder.items():
                    variable.assign(frozen[key])
            weights = read_variables(head | encoder if train_encoder else head)
            file = self.add(f"{name}/r{repeat}-fold-0{fold}.safetensors", save(weights))
            entry["folds"].append({"file": file, "fold": int(fold), "repeat": int(repeat)})
            self.models.setdefault(name, []).append(model)

    def freeze(self, weights):
        """Makes these the encoder of all architectures that freeze it. Returns them."""
        self.manifest["encoder"]["weights"] = self.add("encoder/weights.safetensors", save(weights))
        return weights

    def write(self):
        """Writes the manifest. Returns the ensemble's directory."""
        self.directory.write_bytes("manifest.json", json.dumps(self.manifest).encode())
        return self.directory.location

    def open(self):
        """The artifact, as `load_ensemble` reads it."""
        return load_ensemble(self.write())
