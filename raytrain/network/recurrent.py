"""A bidirectional LSTM that does in every step only what must wait for the step before."""

import functools
from typing import Any

import tensorflow as tf

from raytrain.network.layers import add_float32
from raytrain.network.transformer import layers_are_compiled

keras = tf.keras


class BiLSTM(keras.layers.Layer):
    """Keras's Bidirectional(LSTM(units, return_sequences=True)), several times as fast on a CPU.

    The projection of the inputs is one product for all steps, both directions run in one loop, and
    the gradient of the recurrent kernel is one product after the loop. Weights, their order and what
    they mean are Keras's: kernel, recurrent kernel and bias of the forward, then the backward LSTM, the
    gates in the order input, forget, cell, output (Hochreiter & Schmidhuber 1997; Gers et al. 2000).

    The projection multiplies in the policy's type; cells, and what they say, are float32.

    Args:
        units: Channels of each direction.
        kernel_initializers: Of the forward and the backward kernel.
        recurrent_initializers: Of the forward and the backward recurrent kernel.
    """

    def __init__(self, units: int, kernel_initializers, recurrent_initializers, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.kernel_initializers = kernel_initializers
        self.recurrent_initializers = recurrent_initializers

    def build(self, input_shape):
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        channels, gates = sum(shape[-1] for shape in shapes), 4 * self.units
        self.directions = [
            (
                add_float32(self, "kernel", (channels, gates), kernel),
                add_float32(self, "recurrent_kernel", (self.units, gates), recurrent),
                add_float32(self, "bias", (gates,), _forget_nothing),
            )
            for kernel, recurrent in zip(self.kernel_initializers, self.recurrent_initializers, strict=True)
        ]
        super().build(input_shape)

    def call(self, inputs, mask):
        """(batch, length, channels) and a mask of leading real tokens to (batch, length, 2 × units) float32.

        A list of inputs is taken as if they lay side by side. What stands on padding is of no meaning.
        """
        inputs = inputs if isinstance(inputs, list) else [inputs]
        kernels, recurrent, biases = zip(*self.directions, strict=True)
        batch, length = tf.shape(inputs[0])[0], tf.shape(inputs[0])[1]
        # Part by part: nobody needs the gradient of a frozen encoder's output.
        kernel = tf.cast(tf.concat(kernels, axis=1), inputs[0].dtype)
        parts = tf.split(kernel, [part.shape[-1] for part in inputs], axis=0)
        projected = tf.add_n(
            [tf.matmul(_flat(part), kernel) for part, kernel in zip(inputs, parts, strict=True)]
        )
        projected = tf.cast(projected, tf.float32) + tf.concat(biases, axis=0)
        projected = tf.reshape(projected, [batch, length, 2, 4 * self.units])
        # A closed input gate keeps the backward cell at 0 until the real tokens begin.
        closed = tf.one_hot(0, 4, on_value=-1e9) * tf.cast(~mask, tf.float32)[:, :, None]
        projected += tf.repeat(closed, self.units, axis=-1)[:, :, None]
        forward, backward = tf.unstack(tf.transpose(projected, [2, 1, 0, 3]))
        steps = tf.stack([forward, tf.reverse(backward, [0])], axis=1)
        scan = _compiled_scan() if layers_are_compiled() else _scan
        states = scan(steps, tf.stack(recurrent))
        forward, backward = tf.unstack(states, axis=1)
        return tf.transpose(tf.concat([forward, tf.reverse(backward, [0])], axis=-1), [1, 0, 2])


@functools.cache
def _compiled_scan() -> Any:
    """`_scan` by XLA, for which a step's elementwise work is one kernel."""
    return tf.function(lambda steps, recurrent: _scan(steps, recurrent), autograph=False, jit_compile=True)


def _forget_nothing(shape, dtype=None):
    """Zeros but for the forget gate's ones, Keras's `unit_forget_bias` (Jozefowicz et al. 2015)."""
    units = shape[0] // 4
    return tf.repeat(tf.constant([0, 1, 0, 0], dtype or tf.float32), units)


@tf.custom_gradient
def _scan(projected: tf.Tensor, recurrent: tf.Tensor):
    """Runs the cells of both directions.

    Args:
        projected: (length, 2, batch, 4 × units) inputs of the gates.
        recurrent: (2, units, 4 × units) recurrent kernels.

    Returns:
        (length, 2, batch, units) outputs.
    """
    shape = tf.shape(projected)
    length, start = shape[0], tf.zeros([2, shape[2], recurrent.shape[1]])

    def step(time, state, cell, gates, states, cells):
        gate = projected[time] + tf.matmul(state, recurrent)
        into, forget, new, out = tf.split(gate, 4, axis=-1)
        cell = tf.sigmoid(forget) * cell + tf.sigmoid(into) * tf.tanh(new)
        state = tf.sigmoid(out) * tf.tanh(cell)
        return (
            time + 1,
            state,
            cell,
            gates.write(time, gate),
            states.write(time, state),
            cells.write(time, cell),
        )

    *_, gates, states, cells = _loop(step, length, [start, start], num_arrays=3)
    gates, states, cells = gates.stack(), states.stack(), cells.stack()

    def gradient(upstream):
        return _scan_gradient(upstream, gates, states, cells, recurrent)

    return states, gradient


def _scan_gradient(upstream, gates, states, cells, recurrent):
    """Gradients of `_scan`: what does not wait for a later step is computed for all steps at once."""
    length, start = tf.shape(states)[0], tf.zeros_like(states[0])
    into, forget, new, out = tf.split(gates, 4, axis=-1)
    into, forget, new, out = tf.sigmoid(into), tf.sigmoid(forget), tf.tanh(new), tf.sigmoid(out)
    squashed = tf.tanh(cells)
    earlier = tf.concat([start[None], cells[:-1]], axis=0)
    state_to_cell = out * (1 - squashed**2)
    to_gates = tf.concat(
        [
            new * into * (1 - into),
            earlier * forget * (1 - forget),
            into * (1 - new**2),
            squashed * out * (1 - out),
        ],
        axis=-1,
    )

    def step(count, d_state, d_cell, d_gates):
        time = length - 1 - count
        d_state = upstream[time] + d_state
        d_cell = d_cell + d_state * state_to_cell[time]
        d_gate = tf.concat([d_cell, d_cell, d_cell, d_state], axis=-1) * to_gates[time]
        d_earlier = tf.matmul(d_gate, recurrent, transpose_b=True)
        return count + 1, d_earlier, d_cell * forget[time], d_gates.write(time, d_gate)

    *_, d_gates = _loop(step, length, [start, start], num_arrays=1)
    d_gates = d_gates.stack()
    before = tf.concat([start[None], states[:-1]], axis=0)
    # A direction at a time: one product of both would first copy everything into another order.
    products = [
        tf.matmul(_flat(inputs), _flat(outputs), transpose_a=True)
        for inputs, outputs in zip(tf.unstack(before, axis=1), tf.unstack(d_gates, axis=1), strict=True)
    ]
    return d_gates, tf.stack(products)


def _flat(sequence: tf.Tensor) -> tf.Tensor:
    return tf.reshape(sequence, [-1, sequence.shape[-1]])


def _loop(step, length, state, num_arrays: int):
    arrays = [tf.TensorArray(tf.float32, length) for _ in range(num_arrays)]
    return tf.while_loop(lambda time, *_: time < length, step, [0, *state, *arrays])
