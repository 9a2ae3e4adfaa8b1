"""Cross-entropy corrected for noise: label smoothing, and forward correction of the prediction.

Symbols: z logits, p = softmax(z), y label, K classes, e_y the one-hot vector of y.
"""

import jax
import jax.numpy as jnp
import optax


def label_smoothing(*, logits: jax.Array, labels: jax.Array, alpha: float) -> jax.Array:
    """Cross-entropy with smoothed labels, −Σ_k ((1 − α) e_y,k + α/K) log p_k.

    Source: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (CVPR 2016,
    https://arxiv.org/abs/1512.00567); for label noise Lukasik et al., "Does Label Smoothing
    Mitigate Label Noise?" (ICML 2020, https://arxiv.org/abs/2003.02819).

    Args:
      logits: float (batch, K).
      labels: int (batch,), in [0, K).
      alpha: α, in [0, 1].

    Returns:
      float (batch,), ≥ 0, nats.
    """
    one_hot = jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype)
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(one_hot, alpha))


def forward(*, logits: jax.Array, labels: jax.Array, transition_matrix: jax.Array) -> jax.Array:
    """Forward correction, −log (Tᵀ p)_y: cross-entropy of the prediction after the noise.

    Source: Patrini et al., "Making Deep Neural Networks Robust to Label Noise" (CVPR 2017,
    https://arxiv.org/abs/1609.03683).

    Args:
      logits: float (batch, K).
      labels: int (batch,), in [0, K), noisy.
      transition_matrix: T, float (K, K), T[i, j] = P(noisy = j | clean = i), rows sum to 1; see
        `labels.transition` for its sources.

    Returns:
      float (batch,), ≥ 0, nats; infinite for a label whose column of T is 0 and which T thus makes
      impossible (`labels.transition.check_labels` refuses such a T).
    """
    of_label = jnp.take(transition_matrix, labels, axis=1).T
    return -jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=1, b=of_label)
