"""The loss of a linear-chain CRF, with its gradient written out; float32 whatever the precision.

`raytrain.decoding` says what a tagging scores, and decodes.
"""

import tensorflow as tf

keras = tf.keras


class CRF(keras.layers.Layer):
    """Holds what a tagging scores beside its emissions, which pass through it unchanged.

    Zeros at first: then each place is a softmax.
    """

    def build(self, input_shape):
        num_tags = input_shape[-1]
        self.start = self.add_weight("start", (num_tags,), initializer="zeros")
        self.end = self.add_weight("end", (num_tags,), initializer="zeros")
        self.pairs = self.add_weight("pairs", (num_tags, num_tags), initializer="zeros")
        super().build(input_shape)

    def call(self, emissions):
        return emissions


def tagging_losses(
    emissions: tf.Tensor,
    tags: tf.Tensor,
    lengths: tf.Tensor,
    whole: tf.Tensor,
    start: tf.Tensor,
    end: tf.Tensor,
    pairs: tf.Tensor,
) -> tf.Tensor:
    """Negative log-likelihoods of taggings (Lafferty et al. 2001).

    Args:
        emissions: (batch, length, num_tags) float32.
        tags: (batch, length) int32, anything on padding.
        lengths: (batch,) int32 tokens of each row.
        whole: (batch, 2) float32; 1 where the text begins, and ends, with the row, 0 where it is cut:
            there the first, or last, tag scores nothing of its own.
        start: (num_tags,).
        end: (num_tags,).
        pairs: (num_tags, num_tags).

    Returns:
        (batch,) in nats, 0 where there is no token.
    """
    num_tags = emissions.shape[-1]
    mask = tf.sequence_mask(lengths, tf.shape(emissions)[1], tf.float32)
    at_start, at_end = whole[:, :1] * start, whole[:, 1:] * end
    last = tf.gather(tags, tf.maximum(lengths - 1, 0), batch_dims=1)
    score = tf.reduce_sum(tf.gather(emissions, tags, batch_dims=2) * mask, axis=1)
    steps = tf.gather(tf.reshape(pairs, [-1]), tags[:, :-1] * num_tags + tags[:, 1:])
    score += tf.reduce_sum(steps * mask[:, 1:], axis=1)
    score += tf.gather(at_start, tags[:, 0], batch_dims=1) + tf.gather(at_end, last, batch_dims=1)
    totals = _log_totals(emissions, lengths, at_start, at_end, pairs)
    return tf.where(lengths > 0, totals - score, tf.zeros_like(score))


@tf.custom_gradient
def _log_totals(emissions, lengths, at_start, at_end, pairs):
    """Log of the summed weights of all taggings of each row.

    Both directions run in one loop; what the gradient needs is then at hand: the derivative by a score
    is the probability that a tagging has what it scores.

    Args:
        at_start: (batch, num_tags) of the first tag.
        at_end: (batch, num_tags) of the last.

    Returns:
        (batch,).
    """
    states = _scan(emissions, lengths, at_start, at_end, pairs)
    forward, backward = tf.unstack(tf.transpose(states, [1, 2, 0, 3]))
    backward = tf.reverse_sequence(backward, lengths, seq_axis=1)
    final = tf.gather(forward, tf.maximum(lengths - 1, 0), batch_dims=1) + at_end
    totals = tf.reduce_logsumexp(final, axis=1)

    def gradient(upstream):
        real = tf.sequence_mask(lengths, tf.shape(emissions)[1])
        none = tf.constant(float("-inf"))
        weight = upstream[:, None, None]
        log_tags = forward + backward - emissions - totals[:, None, None]
        tag_proba = tf.exp(tf.where(real[:, :, None], log_tags, none)) * weight
        log_pairs = forward[:, :-1, :, None] + backward[:, 1:, None, :] + pairs
        log_pairs = tf.where(real[:, 1:, None, None], log_pairs - totals[:, None, None, None], none)
        d_pairs = tf.einsum("blij,b->ij", tf.exp(log_pairs), upstream)
        last = tf.gather(tag_proba, tf.maximum(lengths - 1, 0), batch_dims=1)
        return tag_proba, None, tag_proba[:, 0], last, d_pairs

    return totals, gradient


def _scan(emissions, lengths, at_start, at_end, pairs):
    """(length, 2, batch, num_tags): log weights of all beginnings up to a tag, and of all endings from it on.

    The endings stand in the reversed order of the row's tokens. Emissions of the tag are in both.
    """
    length = tf.shape(emissions)[1]
    reverse = tf.reverse_sequence(emissions, lengths, seq_axis=1)
    steps = tf.transpose(tf.stack([emissions, reverse]), [2, 0, 1, 3])
    moves = tf.stack([pairs, tf.transpose(pairs)])[:, None]

    def step(time, state, states):
        state = steps[time] + tf.reduce_logsumexp(state[..., None] + moves, axis=2)
        return time + 1, state, states.write(time, state)

    first = steps[0] + tf.stack([at_start, at_end])
    states = tf.TensorArray(tf.float32, length, element_shape=first.shape).write(0, first)
    *_, states = tf.while_loop(lambda time, *_: time < length, step, [1, first, states])
    return states.stack()
