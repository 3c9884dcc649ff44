"""The loss of a linear-chain CRF, with its gradient written out; float32 whatever the precision.

`raytrain.scores.decoding` says what a tagging scores, and decodes.
"""

import tensorflow as tf

from raytrain.network.layers import Float32Layer


class CRF(Float32Layer):
    """Holds what a tagging scores beside its emissions, which pass through it, as float32.

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
    is the probability that a tagging has what it scores. Each place is normalised for itself (Rabiner 1989,
    V.A), as float32 would not hold the small differences between the weights of long rows.

    Args:
        at_start: (batch, num_tags) of the first tag.
        at_end: (batch, num_tags) of the last.

    Returns:
        (batch,).
    """
    states, tops = _scan(emissions, lengths, at_start, at_end, pairs)
    forward, backward = tf.unstack(tf.transpose(states, [1, 2, 0, 3]))
    backward = tf.reverse_sequence(backward, lengths, seq_axis=1)
    real = tf.sequence_mask(lengths, tf.shape(emissions)[1])
    final = tf.gather(forward, tf.maximum(lengths - 1, 0), batch_dims=1) + at_end
    scale = tf.reduce_sum(tf.where(real, tf.transpose(tops[:, 0]), 0.0), axis=1)
    totals = tf.reduce_logsumexp(final, axis=1) + scale

    def gradient(upstream):
        tag_proba = tf.nn.softmax(forward + backward - emissions) * upstream[:, None, None]
        tag_proba = tf.where(real[:, :, None], tag_proba, 0.0)
        log_pairs = forward[:, :-1, :, None] + backward[:, 1:, None, :] + pairs
        log_pairs -= tf.reduce_logsumexp(log_pairs, axis=[2, 3], keepdims=True)
        weight = tf.where(real[:, 1:], upstream[:, None], 0.0)
        d_pairs = tf.einsum("blij,bl->ij", tf.exp(log_pairs), weight)
        last = tf.gather(tag_proba, tf.maximum(lengths - 1, 0), batch_dims=1)
        return tag_proba, None, tag_proba[:, 0], last, d_pairs

    return totals, gradient


def _scan(emissions, lengths, at_start, at_end, pairs):
    """Log weights of all beginnings up to a tag, and of all endings from it on; its emission is in both.

    The endings stand in the reversed order of the row's tokens.

    Returns:
        (length, 2, batch, num_tags), less the greatest of each place and direction; and these,
        (length, 2, batch).
    """
    length = tf.shape(emissions)[1]
    reverse = tf.reverse_sequence(emissions, lengths, seq_axis=1)
    steps = tf.transpose(tf.stack([emissions, reverse]), [2, 0, 1, 3])
    moves = tf.stack([pairs, tf.transpose(pairs)])[:, None]
    first = steps[0] + tf.stack([at_start, at_end])
    shapes = first.shape, first.shape[:-1]
    arrays = [tf.TensorArray(tf.float32, length, element_shape=shape) for shape in shapes]

    def keep(time, state, states, tops):
        top = tf.reduce_max(state, axis=-1)
        state -= top[..., None]
        return time + 1, state, states.write(time, state), tops.write(time, top)

    def step(time, state, states, tops):
        state = steps[time] + tf.reduce_logsumexp(state[..., None] + moves, axis=2)
        return keep(time, state, states, tops)

    *_, states, tops = tf.while_loop(lambda time, *_: time < length, step, keep(0, first, *arrays))
    return states.stack(), tops.stack()
