"""The spectrum of the learned mapping: how smooth it is, where, and how accuracy relates to it.

Takes finished runs, or members while they train; gives Fourier spectra along lines through
pictures, singular values of Jacobians, norms of layers, and figures. It does not change training.

May import: runs, figures, terminal, training and all below.
"""

__all__ = [
    "dynamics",
    "circle",
    "fourier_lines",
    "measure",
    "shares",
    "verdict",
    "wave_figure",
]
