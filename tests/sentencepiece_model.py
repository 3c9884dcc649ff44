"""A SentencePiece model with ALBERT's special pieces, trained on sentences of our own."""

import functools
import io

from sentencepiece import SentencePieceTrainer

ENGLISH = [
    "the shop opens at nine and closes at six",
    "breakfast was cold and the room was small",
    "a reader asked whether the story is true",
    "prices rose by 1,200 in march and by 35 in april",
    "the bridge will be closed on sunday, drivers are asked to wait",
]


@functools.cache
def tiny_model(vocab_size: int = 70) -> bytes:
    """Pieces 0 to 4 are <pad>, <unk>, [CLS], [SEP], [MASK], as in ALBERT's 30k-clean.model."""
    model = io.BytesIO()
    SentencePieceTrainer.Train(
        sentence_iterator=iter(ENGLISH * 4),
        model_writer=model,
        vocab_size=vocab_size,
        model_type="unigram",
        pad_id=0,
        unk_id=1,
        bos_id=-1,
        eos_id=-1,
        pad_piece="<pad>",
        unk_piece="<unk>",
        control_symbols=["[CLS]", "[SEP]", "[MASK]"],
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return model.getvalue()
